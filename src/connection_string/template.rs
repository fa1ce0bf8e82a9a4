//! Variables for a program: their names, and how their values are made.
//!
//! **Invariant:** a `--set` is checked before rsctl waits for the replica set, and making a value from a checked
//! [`Assignment`] cannot fail. No error shows the text of a template, because it may hold a password.

use super::build::{Database, Endpoint, Inserts};
use super::rewrite::{GivenUri, RewriteError};
use crate::secret::Secret;

/// A parsed `NAME` or `NAME=TEMPLATE`.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The name of the variable.
    pub name: String,
    recipe: Recipe,
}

#[derive(Clone, Debug)]
enum Recipe {
    /// The variable holds a URI, whose hosts are replaced.
    Correct(GivenUri),
    /// The value is made from a template.
    Assemble(Vec<Piece>),
}

#[derive(Clone, Debug)]
enum Piece {
    /// The text may hold a password.
    Text(Secret),
    Uri,
    Hosts,
    ReplicaSet,
    Database,
}

/// Why a `--set` is not valid.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The name is not valid in a shell.
    #[error("the part before `=` is not a name of a variable (letters, digits and `_`)")]
    Name,
    /// One variable is set twice.
    #[error("{0} is set twice")]
    Twice(String),
    /// The variable has no template and no value to correct.
    #[error("{0} is not set; set it to a mongodb:// URI, or give a template such as {0}={{uri}}")]
    Unset(String),
    /// The variable's value is not a URI that can be corrected.
    #[error("{name}")]
    Uncorrectable {
        /// The variable.
        name: String,
        /// Why the value is refused.
        source: RewriteError,
    },
    /// The template is empty.
    #[error("{0} has an empty template; omit the `=` to correct the URI that the variable holds")]
    Empty(String),
    /// The template holds a line end or another control character.
    #[error("the template of {0} holds a control character")]
    Unclean(String),
    /// A brace is neither part of a placeholder nor doubled.
    #[error(
        "the template of {name} has {what} at character {at}; known are {{uri}} {{hosts}} {{replica_set}} {{database}}, and {{{{ and }}}} for braces"
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

impl Assignment {
    /// Parses all `--set` arguments. `variable` returns the value of an environment variable.
    ///
    /// # Errors
    ///
    /// One of the arguments is not valid, or two have the same name.
    pub fn list<'a>(
        texts: &[String],
        database: Option<&Database>,
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Vec<Self>, TemplateError> {
        let mut list: Vec<Self> = Vec::new();
        for text in texts {
            let assignment = Self::parse(text, database, &variable)?;
            if list.iter().any(|other| other.name == assignment.name) {
                return Err(TemplateError::Twice(assignment.name));
            }
            list.push(assignment);
        }
        Ok(list)
    }

    fn parse<'a>(
        text: &str,
        database: Option<&Database>,
        variable: &impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, TemplateError> {
        let (name, template) = text.split_once('=').map_or((text, None), |(name, template)| (name, Some(template)));
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(allowed) {
            return Err(TemplateError::Name);
        }
        let name = name.to_owned();
        let recipe = match template {
            None => {
                let Some(held) = variable(&name) else { return Err(TemplateError::Unset(name)) };
                match GivenUri::parse(held) {
                    Ok(uri) => Recipe::Correct(uri),
                    Err(source) => return Err(TemplateError::Uncorrectable { name, source }),
                }
            }
            Some("") => return Err(TemplateError::Empty(name)),
            Some(template) if template.contains(char::is_control) => return Err(TemplateError::Unclean(name)),
            Some(template) => Recipe::Assemble(pieces(template, &name)?),
        };
        if let Recipe::Assemble(pieces) = &recipe
            && database.is_none()
            && pieces.iter().any(|piece| matches!(piece, Piece::Database))
        {
            return Err(TemplateError::NoDatabase(name));
        }
        Ok(Self { name, recipe })
    }

    /// Whether the template contains `{hosts}`.
    pub fn lists_hosts(&self) -> bool {
        matches!(&self.recipe, Recipe::Assemble(pieces) if pieces.iter().any(|piece| matches!(piece, Piece::Hosts)))
    }

    /// The value with the hosts of this endpoint.
    pub fn value(&self, endpoint: &Endpoint, inserts: &Inserts) -> String {
        match &self.recipe {
            Recipe::Correct(uri) => uri.pointed_at(endpoint),
            Recipe::Assemble(pieces) => pieces.iter().map(|piece| piece.text(endpoint, inserts)).collect(),
        }
    }
}

impl Piece {
    fn text(&self, endpoint: &Endpoint, inserts: &Inserts) -> String {
        match self {
            Self::Text(text) => text.expose().to_owned(),
            Self::Uri => endpoint.uri(inserts),
            Self::Hosts => endpoint.hosts(),
            Self::ReplicaSet => endpoint.set().to_string(),
            Self::Database => inserts.database.as_ref().map(Database::to_string).unwrap_or_default(),
        }
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
        let piece = match word {
            "uri" => Piece::Uri,
            "hosts" => Piece::Hosts,
            "replica_set" => Piece::ReplicaSet,
            "database" => Piece::Database,
            _ => return Err(wrong("an unknown placeholder")),
        };
        pieces.push(Piece::Text(Secret::new(std::mem::take(&mut text))));
        pieces.push(piece);
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
    use crate::outcome::Chain;

    fn values(sets: &[&str], database: Option<&str>) -> Result<Vec<String>, String> {
        let database: Option<Database> = database.map(|name| name.parse().unwrap());
        let variable = |name: &str| match name {
            "LCB_DATABASE_URI" => Some("mongodb://u:hunter2@mongo/letschat"),
            "PLAIN" => Some("hunter2"),
            _ => None,
        };
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let list = Assignment::list(&sets, database.as_ref(), variable).map_err(|e| Chain(&e).to_string())?;
        assert!(!format!("{list:?}").contains("hunter2"));
        let inserts = Inserts { database, credentials: None };
        Ok(list.iter().map(|a| a.value(&endpoint(&["a:1", "b:2"]), &inserts)).collect())
    }

    #[test]
    fn templates_are_filled() {
        for (template, expected) in [
            ("X={uri}", "mongodb://a:1,b:2/chat?replicaSet=rs"),
            ("X=-dbhost {hosts} -rplSet {replica_set}", "-dbhost a:1,b:2 -rplSet rs"),
            ("X={replica_set}/{hosts}/{database}=", "rs/a:1,b:2/chat="),
            ("X=mongodb://o:${{PWD}}@{hosts}/?replicaSet={replica_set}", "mongodb://o:${PWD}@a:1,b:2/?replicaSet=rs"),
            ("X=none", "none"),
        ] {
            assert_eq!(values(&[template], Some("chat")), Ok(vec![expected.to_owned()]), "{template}");
        }
    }

    #[test]
    fn a_name_alone_corrects_what_the_variable_holds() {
        let expected = "mongodb://u:hunter2@a:1,b:2/letschat?replicaSet=rs".to_owned();
        assert_eq!(values(&["LCB_DATABASE_URI"], None), Ok(vec![expected]));
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for (set, expected) in [
            ("NONE", "NONE is not set; set it to a mongodb:// URI, or give a template such as NONE={uri}"),
            ("PLAIN", "PLAIN: does not hold a URI that begins with mongodb:// or mongodb+srv://"),
            ("X=", "X has an empty template; omit the `=` to correct the URI that the variable holds"),
            ("1X={uri}", "the part before `=` is not a name of a variable (letters, digits and `_`)"),
            ("X=hunter2{database}", "the template of X has {database}, which needs --database"),
            ("X=a\nb", "the template of X holds a control character"),
        ] {
            assert_eq!(values(&[set], None), Err(expected.to_owned()), "{set}");
        }
        assert_eq!(values(&["X={uri}", "X={hosts}"], None), Err("X is set twice".to_owned()));
    }

    #[test]
    fn braces_are_placeholders_or_doubled() {
        for (template, what) in [
            ("X=é{hunter2}", "an unknown placeholder at character 2"),
            ("X={URI}", "an unknown placeholder at character 1"),
            ("X={}", "an unknown placeholder at character 1"),
            ("X={uri", "a `{` without its `}` at character 1"),
            ("X={uri}}", "a `}` without its `{` at character 6"),
            ("X=a}b", "a `}` without its `{` at character 2"),
        ] {
            let error = values(&[template], None).unwrap_err();
            assert!(error.contains(what) && !error.contains("hunter2"), "{template}: {error}");
        }
    }
}
