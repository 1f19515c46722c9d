//! Tables for people, on standard output.

use std::io::Write;

/// Prints a line.
pub(crate) fn say(line: &str) {
    // Nobody reads any more when standard output is closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints rows in columns as Markdown does; the first row is the heading.
pub(crate) fn print(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(column, width)| {
                format!("{:<width$}", row.get(column).map_or("", String::as_str))
            })
            .collect();
        say(&format!("| {} |", cells.join(" | ")));
        if at == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            say(&format!("| {} |", rule.join(" | ")));
        }
    }
}
