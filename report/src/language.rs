//! The languages of a report.

use std::str::FromStr;

use demarc_incident::Bilingual;
use demarc_topology::LocalName;

/// A report's language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

impl Language {
    /// The language's tag, BCP 47.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    pub(crate) fn of(self, text: &Bilingual) -> &str {
        self.pick(&text.zh, &text.en)
    }

    pub(crate) fn name(self, name: &LocalName) -> &str {
        self.pick(&name.zh, &name.en)
    }

    pub(crate) fn pick<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "zh" | "zh-CN" => Ok(Self::Zh),
            "en" => Ok(Self::En),
            _ => Err(format!("language {text:?}: must be zh or en")),
        }
    }
}
