//! Conditions of rules.

use crate::{Entity, OwnerMatch};

impl OwnerMatch {
    /// Whether all conditions hold.
    pub(crate) fn matches(&self, entity: &Entity) -> bool {
        let text = |wanted: &Option<String>, got: Option<&str>| match wanted {
            None => true,
            Some(glob) => got.is_some_and(|got| glob_matches(glob, got)),
        };
        text(
            &self.tenant,
            entity.tenant.as_ref().map(|tenant| tenant.as_str()),
        ) && self.layer.is_none_or(|layer| layer == entity.layer)
            && text(&self.kind, Some(entity.kind.as_str()))
            && text(&self.name, Some(&entity.name))
            && self.attributes.iter().all(|(key, glob)| {
                entity
                    .attributes
                    .text(key)
                    .is_some_and(|got| glob_matches(glob, &got))
            })
    }
}

/// Whether `text` is `glob`, in which `*` stands for any characters.
///
/// Takes time in the product of the two lengths at the most: of two stars only the later one is ever tried again.
pub(crate) fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut at, mut of_glob) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match glob.get(of_glob) {
            Some(b'*') => {
                star = Some((of_glob + 1, at));
                of_glob += 1;
            }
            Some(byte) if *byte == text[at] => {
                at += 1;
                of_glob += 1;
            }
            _ => {
                let Some((after, tried)) = star else {
                    return false;
                };
                star = Some((after, tried + 1));
                (of_glob, at) = (after, tried + 1);
            }
        }
    }
    glob[of_glob..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (glob, text, matches) in [
            ("*", "", true),
            ("host-*", "host-a", true),
            ("host-*", "ghost-a", false),
            ("*-db", "gov-db", true),
            ("a*b*c", "a-b-b-c", true),
            ("税*", "税务局", true),
            ("exact", "exactly", false),
            ("", "", true),
            ("", "a", false),
            ("a*", "", false),
        ] {
            assert_eq!(glob_matches(glob, text), matches, "{glob} {text}");
        }
    }
}
