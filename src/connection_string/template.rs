//! Templates: text with placeholders.
//!
//! **Invariant:** no error shows the text of a template, because it may hold a password.

use super::build::{Database, Endpoint, Inserts};
use crate::secret::Secret;

/// A parsed template.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// The variable that it is for.
    name: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    /// The text may hold a password.
    Text(Secret),
    Placeholder(Placeholder),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Uri,
    Hosts,
    Names,
    Port,
    ReplicaSet,
    Database,
}

impl Placeholder {
    const ALL: [(&'static str, Self); 6] = [
        ("uri", Self::Uri),
        ("hosts", Self::Hosts),
        ("names", Self::Names),
        ("port", Self::Port),
        ("replica_set", Self::ReplicaSet),
        ("database", Self::Database),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, other)| *other == self).map_or("", |(word, _)| word)
    }
}

/// Why a template is not valid.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The template is empty.
    #[error("{0} has an empty template; omit the `=` to correct the URI that the variable holds")]
    Empty(String),
    /// The template holds a line end or another control character.
    #[error("the template of {0} holds a control character")]
    Unclean(String),
    /// A brace is neither part of a placeholder nor doubled.
    #[error(
        "the template of {name} has {what} at character {at}; known are {}, and {{{{ and }}}} for braces",
        Placeholder::ALL.map(|(word, _)| format!("{{{word}}}")).join(" ")
    )]
    Brace {
        /// The variable.
        name: String,
        /// What is found there.
        what: &'static str,
        /// The position of the character, counted from one.
        at: usize,
    },
    /// The template uses the database, and none is given.
    #[error("the template of {0} has {{database}}, which needs --database")]
    NoDatabase(String),
}

/// Why a valid template has no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} has {{{placeholder}}}, but the members have different ports: use {{hosts}} or {{uri}}")]
pub struct Unfillable {
    name: String,
    placeholder: &'static str,
}

impl Template {
    /// Parses the template of the variable `name`.
    pub(super) fn parse(name: &str, text: &str, database_is_given: bool) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty(name.to_owned()));
        }
        if text.contains(char::is_control) {
            return Err(TemplateError::Unclean(name.to_owned()));
        }
        let template = Self { name: name.to_owned(), pieces: pieces(text, name)? };
        if template.has(Placeholder::Database) && !database_is_given {
            return Err(TemplateError::NoDatabase(template.name));
        }
        Ok(template)
    }

    /// Whether it contains `{uri}`.
    pub(super) fn has_uri(&self) -> bool {
        self.has(Placeholder::Uri)
    }

    /// Whether it contains `{hosts}`.
    pub(super) fn has_hosts(&self) -> bool {
        self.has(Placeholder::Hosts)
    }

    fn has(&self, wanted: Placeholder) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Placeholder(placeholder) if *placeholder == wanted))
    }

    /// The text for this endpoint.
    pub(super) fn fill(&self, endpoint: &Endpoint, inserts: &Inserts) -> Result<String, Unfillable> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => Ok(text.expose().to_owned()),
            Piece::Placeholder(placeholder) => self.value(*placeholder, endpoint, inserts),
        };
        self.pieces.iter().map(text).collect()
    }

    fn value(&self, placeholder: Placeholder, endpoint: &Endpoint, inserts: &Inserts) -> Result<String, Unfillable> {
        let apart = || {
            let differ = || Unfillable { name: self.name.clone(), placeholder: placeholder.word() };
            endpoint.names_and_port().ok_or_else(differ)
        };
        Ok(match placeholder {
            Placeholder::Uri => endpoint.uri(inserts),
            Placeholder::Hosts => endpoint.hosts(),
            Placeholder::Names => apart()?.0,
            Placeholder::Port => apart()?.1.to_string(),
            Placeholder::ReplicaSet => endpoint.set().to_string(),
            Placeholder::Database => inserts.database.as_ref().map(Database::to_string).unwrap_or_default(),
        })
    }
}

fn pieces(template: &str, name: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(brace) = rest.find(['{', '}']) {
        text.push_str(&rest[..brace]);
        rest = &rest[brace..];
        let at = template[..template.len() - rest.len()].chars().count() + 1;
        let wrong = |what| TemplateError::Brace { name: name.to_owned(), what, at };
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            text.push_str(&rest[..1]);
            rest = after;
            continue;
        }
        let inside = rest.strip_prefix('{').ok_or_else(|| wrong("a `}` without its `{`"))?;
        let (word, after) = inside.split_once('}').ok_or_else(|| wrong("a `{` without its `}`"))?;
        let known = Placeholder::ALL.iter().find(|(known, _)| *known == word);
        let (_, placeholder) = known.ok_or_else(|| wrong("an unknown placeholder"))?;
        pieces.push(Piece::Text(Secret::new(std::mem::take(&mut text))));
        pieces.push(Piece::Placeholder(*placeholder));
        rest = after;
    }
    text.push_str(rest);
    pieces.push(Piece::Text(Secret::new(text)));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::endpoint;
    use super::*;

    fn filled(template: &str, database: Option<&str>) -> Result<String, String> {
        let database: Option<Database> = database.map(|name| name.parse().unwrap());
        let template = Template::parse("X", template, database.is_some()).map_err(|error| error.to_string())?;
        assert!(!format!("{template:?}").contains("hunter2"));
        let inserts = Inserts { database, credentials: None };
        template.fill(&endpoint(&["a:1", "b:1"]), &inserts).map_err(|error| error.to_string())
    }

    #[test]
    fn templates_are_filled() {
        for (template, expected) in [
            ("{uri}", "mongodb://a:1,b:1/chat?replicaSet=rs"),
            ("-dbhost {hosts} -rplSet {replica_set}", "-dbhost a:1,b:1 -rplSet rs"),
            ("{replica_set}/{hosts}/{database}=", "rs/a:1,b:1/chat="),
            ("{names} {port}", "a,b 1"),
            ("mongodb://o:${{PWD}}@{hosts}/?replicaSet={replica_set}", "mongodb://o:${PWD}@a:1,b:1/?replicaSet=rs"),
            ("none", "none"),
            ("hunter2", "hunter2"),
        ] {
            assert_eq!(filled(template, Some("chat")), Ok(expected.to_owned()), "{template}");
        }
    }

    #[test]
    fn what_has_no_common_port_has_none() {
        for (template, placeholder) in [("{names}", "names"), ("{port}", "port")] {
            let template = Template::parse("X", template, false).unwrap();
            let unfillable = Unfillable { name: "X".to_owned(), placeholder };
            assert_eq!(template.fill(&endpoint(&["a:1", "b:2"]), &Inserts::default()), Err(unfillable));
        }
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for (template, expected) in [
            ("", "X has an empty template; omit the `=` to correct the URI that the variable holds"),
            ("hunter2{database}", "the template of X has {database}, which needs --database"),
            ("a\nb", "the template of X holds a control character"),
        ] {
            assert_eq!(filled(template, None), Err(expected.to_owned()), "{template}");
        }
    }

    #[test]
    fn braces_are_placeholders_or_doubled() {
        for (template, what) in [
            ("é{hunter2}", "an unknown placeholder at character 2"),
            ("{URI}", "an unknown placeholder at character 1"),
            ("{}", "an unknown placeholder at character 1"),
            ("{uri", "a `{` without its `}` at character 1"),
            ("{uri}}", "a `}` without its `{` at character 6"),
            ("a}b", "a `}` without its `{` at character 2"),
        ] {
            let error = filled(template, None).unwrap_err();
            assert!(error.contains(what) && !error.contains("hunter2"), "{template}: {error}");
        }
    }
}
