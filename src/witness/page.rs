//! The verdict as one page for a human being.

use super::layout::wrap;
use super::told::Told;
use super::verdict::Verdict;
use super::wording::{Language, Wording, name_of, word};

/// Columns of a page that is not printed on a terminal.
pub const PAGE_COLUMNS: usize = 80;

impl Verdict {
    /// One page of plain text, lines of at most [`PAGE_COLUMNS`] ended by newlines: the
    /// judgement, the four qualities with every check, the facts.
    pub fn page(&self, language: Language) -> String {
        self.page_within(language, PAGE_COLUMNS)
    }

    /// The same for a terminal of `columns`.
    pub fn page_within(&self, language: Language, columns: usize) -> String {
        let words = Wording::of(language);
        let told = Told::new(self, words);
        let mut lines = vec![words.title.clone()];
        lines.extend(wrap("", told.headline(), 0, columns));
        lines.push(String::new());
        for quality in &self.qualities {
            let name = word(&words.quality, &name_of(&quality.id)).to_owned();
            lines.push(format!("{} {name}", told.mark(quality.status)));
            for (part, status) in &quality.parts {
                let head = format!("  {} ", told.mark(*status));
                let indent = super::layout::width(&head);
                lines.extend(wrap(&head, &told.part(part), indent, columns));
            }
        }
        lines.push(String::new());
        if !self.valid {
            lines.extend(wrap("", &words.claims, 0, columns));
        }
        for (key, text) in told.facts() {
            let head = format!("{}{}", word(&words.fact, key), words.colon);
            lines.extend(wrap(&head, &text, 4, columns));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}
