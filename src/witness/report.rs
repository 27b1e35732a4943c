//! The verdict as one HTML file for the case file: no script, nothing from outside, made to be
//! printed on A4.
//!
//! Every string of a package is hostile until it is escaped here. Pictures are shown only of a
//! valid package: in any other nobody knows whose they are.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};

use super::check_code;
use super::container::Container;
use super::statement::{FileEntry, Statement};
use super::told::Told;
use super::verdict::{Status, Verdict};
use super::wording::{Language, Wording, harmless, name_of, word};
use crate::types::{PictureOf, Stamp};

/// How the page looks; nothing of a package gets into it.
const STYLE: &str = include_str!("report.css");
/// Nothing is fetched and nothing runs, whatever a package brings.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
/// Digits of a digest that tell files apart at a glance.
const PREFIX: usize = 16;

/// The pictures of one moment.
#[derive(Default)]
struct Moment<'a> {
    original: Option<&'a FileEntry>,
    marked: Option<&'a FileEntry>,
    close: Vec<&'a FileEntry>,
}

impl Verdict {
    /// The report of this verdict over `container`, made at `at`.
    pub fn report(&self, container: Option<&Container>, language: Language, at: Stamp) -> String {
        let words = Wording::of(language);
        let report = Report {
            told: Told::new(self, words),
            verdict: self,
            words,
            html: String::new(),
        };
        report.write(container, language, at)
    }
}

struct Report<'a> {
    told: Told<'a>,
    verdict: &'a Verdict,
    words: &'static Wording,
    html: String,
}

impl Report<'_> {
    fn write(mut self, container: Option<&Container>, language: Language, at: Stamp) -> String {
        let lang = match language {
            Language::Chinese => "zh-CN",
            Language::English => "en",
        };
        self.raw(&format!(
            "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n"
        ));
        self.text("title", "", &self.words.title);
        self.raw(&format!("<style>\n{STYLE}</style>\n</head>\n<body>\n"));
        self.judgement(at);
        self.qualities();
        self.facts();
        let stated = self.verdict.statement.as_ref();
        match (stated, container) {
            (Some(statement), Some(container)) if self.verdict.valid => {
                self.pictures(statement, container);
            }
            _ if self.verdict.undecided() => self.text("p", "withheld", self.word("absent")),
            _ => self.text("p", "withheld", self.word("withheld")),
        }
        if let Some(statement) = stated {
            self.files(statement);
        }
        self.yourself();
        self.raw("</body>\n</html>\n");
        self.html
    }

    fn word(&self, key: &'static str) -> &'static str {
        word(&self.words.report, key)
    }

    fn raw(&mut self, html: &str) {
        self.html.push_str(html);
    }

    /// An element with text in it.
    fn text(&mut self, element: &str, class: &str, text: &str) {
        let class = if class.is_empty() {
            String::new()
        } else {
            format!(" class=\"{class}\"")
        };
        let text = escaped(text);
        self.raw(&format!("<{element}{class}>{text}</{element}>\n"));
    }

    fn heading(&mut self, key: &'static str) {
        self.text("h2", "", self.word(key));
    }

    fn judgement(&mut self, at: Stamp) {
        self.text("h1", "", &self.words.title);
        let class = if self.verdict.valid {
            "valid"
        } else {
            "invalid"
        };
        let stamp = if self.verdict.valid {
            "banner_valid"
        } else if self.verdict.undecided() {
            "banner_undecided"
        } else {
            "banner_invalid"
        };
        self.raw(&format!("<div class=\"banner {class}\">\n"));
        self.text("strong", "", self.word(stamp));
        self.text("p", "", self.told.headline());
        self.raw("</div>\n");
        let made = [
            (
                "time",
                self.told.moment(&crate::clock::rfc3339_ms(at.utc_ns)),
            ),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let made = super::wording::fill(self.word("made"), &made);
        self.text("p", "made", &made);
    }

    fn qualities(&mut self) {
        self.heading("qualities");
        self.text("p", "law", self.word("law"));
        self.raw("<table class=\"qualities\">\n");
        for quality in &self.verdict.qualities {
            let name = word(&self.words.quality, &name_of(&quality.id)).to_owned();
            self.raw("<tbody>\n<tr class=\"quality\">");
            self.status(quality.status);
            self.text("th", "", &name);
            self.raw("</tr>\n");
            for (part, status) in &quality.parts {
                let told = self.told.part(part);
                self.raw("<tr>");
                self.status(*status);
                self.text("td", "", &told);
                self.raw("</tr>\n");
            }
            self.raw("</tbody>\n");
        }
        self.raw("</table>\n");
    }

    fn status(&mut self, status: Status) {
        let mark = self.told.mark(status);
        self.text("td", &format!("status {}", name_of(&status)), &mark);
    }

    fn facts(&mut self) {
        let valid = self.verdict.valid;
        self.heading(if valid { "facts" } else { "claims" });
        let class = if valid { "facts" } else { "facts claimed" };
        self.raw(&format!("<table class=\"{class}\">\n"));
        for (key, text) in self.told.facts() {
            self.raw("<tr>");
            self.text("th", "", word(&self.words.fact, key));
            self.text("td", "", &text);
            self.raw("</tr>\n");
        }
        self.raw("</table>\n");
    }

    fn pictures(&mut self, statement: &Statement, container: &Container) {
        self.heading("pictures");
        self.text("p", "law", self.word("pictures_note"));
        for (stem, moment) in moments(statement) {
            let kind = stem.rsplit('-').next().unwrap_or_default();
            let name = word(&self.words.moment, kind).to_owned();
            self.raw("<section class=\"moment\">\n");
            self.text("h3", "", &name);
            self.raw("<div class=\"pair\">\n<div>\n");
            if let Some(file) = moment.original {
                self.figure(file, "original", container);
            }
            for file in &moment.close {
                self.figure(file, "close", container);
            }
            self.raw("</div>\n<div>\n");
            if let Some(file) = moment.marked {
                self.figure(file, "marked", container);
            }
            self.raw("</div>\n</div>\n</section>\n");
        }
    }

    fn figure(&mut self, file: &FileEntry, what: &'static str, container: &Container) {
        let Some(bytes) = container.get(&file.name) else {
            return;
        };
        let data = Base64::encode_string(bytes);
        let alt = escaped(&file.name);
        self.raw(&format!("<figure class=\"{what}\">\n"));
        self.raw(&format!(
            "<img alt=\"{alt}\" src=\"data:image/jpeg;base64,{data}\">\n"
        ));
        let at = file.at.as_ref().map(|at| self.told.moment(at));
        let mut fields = vec![
            ("what", self.word(what).to_owned()),
            ("name", file.name.clone()),
            ("time", at.unwrap_or_else(|| self.told.unknown())),
            ("sha256", file.sha256.chars().take(PREFIX).collect()),
        ];
        let mut caption = super::wording::fill(self.word("caption"), &fields);
        if what == "original" {
            fields.push(("code", check_code(&file.sha256)));
            caption.push_str(&super::wording::fill(self.word("caption_code"), &fields));
        }
        self.text("figcaption", "", &caption);
        self.raw("</figure>\n");
    }

    fn files(&mut self, statement: &Statement) {
        self.heading("files");
        self.raw("<table class=\"files\">\n<tr>");
        for key in ["file_name", "file_size", "file_sha256"] {
            self.text("th", "", self.word(key));
        }
        self.raw("</tr>\n");
        for file in &statement.files {
            self.raw("<tr>");
            self.text("td", "name", &file.name);
            self.text("td", "size", &file.size.to_string());
            self.text("td", "digest", &file.sha256);
            self.raw("</tr>\n");
        }
        self.raw("</table>\n");
        if let Some(sha256) = &self.verdict.sig_sha256 {
            let sentence =
                super::wording::fill(self.word("package_mark"), &[("sha256", sha256.clone())]);
            self.text("p", "mark", &sentence);
        }
    }

    fn yourself(&mut self) {
        self.raw("<section class=\"yourself\">\n");
        self.heading("yourself");
        self.text("p", "", self.word("yourself_note"));
        let commands: Vec<String> = COMMANDS.lines().map(escaped).collect();
        self.raw(&format!("<pre>{}</pre>\n", commands.join("\n")));
        self.raw("</section>\n");
    }
}

/// What anyone can type to check the package.
const COMMANDS: &str = "\
lingmou verify CASE.asice --roots root.crt
bash verify.sh CASE.asice root.crt    # verify-forms.sh beside it

unzip CASE.asice -d case && cd case
openssl cms -verify -binary -inform DER -in META-INF/signature001.p7s \\
    -content META-INF/ASiCManifest001.xml -CAfile ../root.crt \\
    -no-CApath -no-CAstore -purpose any -out /dev/null
sha256sum evidence.json clip.mp4 frames/*";

/// The pictures by moment, in the order of their names.
fn moments(statement: &Statement) -> BTreeMap<&str, Moment<'_>> {
    let mut moments: BTreeMap<&str, Moment<'_>> = BTreeMap::new();
    let pictures = statement
        .files
        .iter()
        .filter(|f| f.media_type == "image/jpeg");
    for file in pictures {
        let (stem, of) = shown(file);
        let moment = moments.entry(stem).or_default();
        match of {
            PictureOf::Original => moment.original = Some(file),
            PictureOf::Marked => moment.marked = Some(file),
            PictureOf::Close => moment.close.push(file),
        }
    }
    moments
}

/// The moment a picture belongs to, and what it shows of it. The name tells both; packages that
/// say what a picture shows are believed before its name.
fn shown(file: &FileEntry) -> (&str, PictureOf) {
    let stem = file.name.strip_suffix(".jpg").unwrap_or(&file.name);
    let by_name = [("-marked", PictureOf::Marked), ("-close", PictureOf::Close)];
    for (suffix, of) in by_name {
        if let Some(stem) = stem.strip_suffix(suffix) {
            return (stem, file.of.unwrap_or(of));
        }
    }
    (stem, file.of.unwrap_or(PictureOf::Original))
}

/// `text` for HTML, between tags or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in harmless(text).chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_says_stays_text() {
        assert_eq!(
            escaped("<script>alert('x')</script> & \"y\"\u{202e}"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;"
        );
    }
}
