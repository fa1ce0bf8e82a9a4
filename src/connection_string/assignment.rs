//! The variables of a program: their names, and where each gets its value from.
//!
//! **Invariant:** a `--set` is checked before rsctl waits for the replica set. A credential that was given is in a value,
//! or the `--set` is refused. No error shows the text of a template, a variable or a file, because it may hold a password.

use std::path::Path;

use super::build::{Endpoint, Inserts};
use super::rewrite::{GivenUri, RewriteError};
use super::template::{Template, TemplateError, Unfillable};
use crate::secret::{Secret, SecretError};

/// A parsed `NAME` or `NAME=TEMPLATE`.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The name of the variable.
    pub name: String,
    /// Where the value goes.
    pub place: Place,
    recipe: Recipe,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into the variable.
    Variable,
    /// Into a file of its own. The variable holds the path of that file.
    File,
}

#[derive(Clone, Debug)]
enum Recipe {
    /// The variable, or its file, holds a URI, whose hosts are replaced. This is followed by the file's line end.
    Correct(GivenUri, &'static str),
    /// The value is made from a template.
    Assemble(Template),
}

/// Why a `--set` is not valid.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    /// The name is not one that programs use.
    #[error("the part before `=` is not a name of a variable (letters, digits, `_`, `.` and `-`)")]
    Name,
    /// One variable is set twice.
    #[error("{0} is set twice")]
    Twice(String),
    /// The variable has no template and no value to correct.
    #[error("{0} is not set; set it to a mongodb:// URI, or give a template such as {0}={{uri}}")]
    Unset(String),
    /// Both the variable and the one that names a file are set.
    #[error("{0} and {0}_FILE are both set: keep one of them")]
    Both(String),
    /// The file that the variable names holds no text.
    #[error("the file that {name} names")]
    Unreadable {
        /// The variable.
        name: String,
        /// Why it holds no text.
        source: SecretError,
    },
    /// The variable's value is not a URI that can be corrected.
    #[error("{name}")]
    Uncorrectable {
        /// The variable.
        name: String,
        /// Why the value is refused.
        source: RewriteError,
    },
    /// The template is not valid.
    #[error(transparent)]
    Template(TemplateError),
    /// No value contains the credentials.
    #[error("no variable has a place for --username: give one a mongodb:// URI, or a template with {{uri}}")]
    NoPlaceForCredentials,
}

impl Assignment {
    /// Parses all `--set` arguments. `variable` returns the value of an environment variable, and `file` reads a file.
    ///
    /// # Errors
    ///
    /// One of the arguments is not valid, two have the same name, or none has a place for the credentials.
    pub fn list<'a>(
        texts: &[String],
        inserts: &Inserts,
        variable: impl Fn(&str) -> Option<&'a str>,
        file: impl Fn(&Path) -> Result<Secret, SecretError>,
    ) -> Result<Vec<Self>, AssignmentError> {
        let mut list: Vec<Self> = Vec::new();
        for text in texts {
            let (name, template) =
                text.split_once('=').map_or((text.as_str(), None), |(name, rest)| (name, Some(rest)));
            let assignment = match template {
                _ if !is_name(name) => return Err(AssignmentError::Name),
                Some(template) => Self::assembled(name, template, inserts)?,
                None => Self::corrected(name, inserts, &variable, &file)?,
            };
            if list.iter().any(|other| other.name == assignment.name) {
                return Err(AssignmentError::Twice(assignment.name));
            }
            list.push(assignment);
        }
        if inserts.credentials.is_some() && !list.iter().any(Self::has_a_uri) {
            return Err(AssignmentError::NoPlaceForCredentials);
        }
        Ok(list)
    }

    fn assembled(name: &str, template: &str, inserts: &Inserts) -> Result<Self, AssignmentError> {
        let template =
            Template::parse(name, template, inserts.database.is_some()).map_err(AssignmentError::Template)?;
        Ok(Self { name: name.to_owned(), place: Place::Variable, recipe: Recipe::Assemble(template) })
    }

    /// The URI is in the variable. Or, as in images that accept secrets, the variable NAME_FILE names a file with it.
    fn corrected<'a>(
        name: &str,
        inserts: &Inserts,
        variable: impl Fn(&str) -> Option<&'a str>,
        file: impl Fn(&Path) -> Result<Secret, SecretError>,
    ) -> Result<Self, AssignmentError> {
        let of_file = format!("{name}_FILE");
        let (name, held) = match (variable(name), variable(&of_file)) {
            (Some(_), Some(_)) => return Err(AssignmentError::Both(name.to_owned())),
            (Some(held), None) => (name.to_owned(), held),
            (None, Some(path)) => (of_file, path),
            (None, None) => return Err(AssignmentError::Unset(name.to_owned())),
        };
        if !name.ends_with("_FILE") || held.contains("://") {
            return Self::of_uri(name, Place::Variable, held, inserts);
        }
        let text = match file(Path::new(held)) {
            Ok(text) => text,
            Err(source) => return Err(AssignmentError::Unreadable { name, source }),
        };
        Self::of_uri(name, Place::File, text.expose(), inserts)
    }

    fn of_uri(name: String, place: Place, held: &str, inserts: &Inserts) -> Result<Self, AssignmentError> {
        let (text, end) = match (place, held.strip_suffix('\n')) {
            (Place::File, Some(text)) => (text.strip_suffix('\r').unwrap_or(text), "\n"),
            (Place::File, None) | (Place::Variable, _) => (held, ""),
        };
        match GivenUri::parse(text).and_then(|uri| uri.with(inserts)) {
            Ok(uri) => Ok(Self { name, place, recipe: Recipe::Correct(uri, end) }),
            Err(source) => Err(AssignmentError::Uncorrectable { name, source }),
        }
    }

    fn has_a_uri(&self) -> bool {
        match &self.recipe {
            Recipe::Correct(..) => true,
            Recipe::Assemble(template) => template.has_uri(),
        }
    }

    /// Whether the template contains `{hosts}`.
    pub fn lists_hosts(&self) -> bool {
        matches!(&self.recipe, Recipe::Assemble(template) if template.has_hosts())
    }

    /// Whether a shell can have a variable of this name.
    pub fn suits_a_shell(&self) -> bool {
        !self.name.contains(['.', '-'])
    }

    /// The value with the hosts of this endpoint.
    ///
    /// # Errors
    ///
    /// The hosts have no common port, and the template needs one.
    pub fn value(&self, endpoint: &Endpoint, inserts: &Inserts) -> Result<String, Unfillable> {
        match &self.recipe {
            Recipe::Correct(uri, end) => Ok(uri.pointed_at(endpoint) + end),
            Recipe::Assemble(template) => template.fill(endpoint, inserts),
        }
    }
}

/// Programs of the JVM read variables with dots, such as `spring.data.mongodb.uri`.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && !text.is_empty() && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::super::build::Credentials;
    use super::super::build::tests::endpoint;
    use super::*;
    use crate::outcome::Chain;

    fn values(sets: &[&str], inserts: &Inserts) -> Result<Vec<(String, String)>, String> {
        let variable = |name: &str| match name {
            "LCB_DATABASE_URI" => Some("mongodb://u:hunter2@mongo/letschat"),
            "spring.data.mongodb.uri" | "PLAIN_URI" | "TWO" => Some("mongodb://mongo/app"),
            "SECRET_FILE" | "TWO_FILE" => Some("/run/secrets/uri"),
            "ENDED_FILE" => Some("/run/secrets/ended"),
            "LOST_FILE" => Some("/run/secrets/lost"),
            "PLAIN" => Some("hunter2"),
            _ => None,
        };
        let file = |path: &Path| match path.to_str() {
            Some("/run/secrets/uri") => Ok(Secret::new("mongodb://u:hunter2@mongo/db")),
            Some("/run/secrets/ended") => Ok(Secret::new("mongodb://mongo/db\r\n")),
            _ => Err(SecretError::Empty),
        };
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let list = Assignment::list(&sets, inserts, variable, file).map_err(|e| Chain(&e).to_string())?;
        assert!(!format!("{list:?}").contains("hunter2"));
        let value = |a: &Assignment| a.value(&endpoint(&["a:1", "b:2"]), inserts).map_err(|e| e.to_string());
        list.iter().map(|a| Ok((format!("{} {:?}", a.name, a.place), value(a)?))).collect()
    }

    fn one(set: &str) -> Result<(String, String), String> {
        values(&[set], &Inserts::default()).map(|list| list[0].clone())
    }

    #[test]
    fn a_name_alone_corrects_what_the_variable_or_its_file_holds() {
        for (set, place, expected) in [
            ("LCB_DATABASE_URI", "LCB_DATABASE_URI Variable", "mongodb://u:hunter2@a:1,b:2/letschat?replicaSet=rs"),
            ("spring.data.mongodb.uri", "spring.data.mongodb.uri Variable", "mongodb://a:1,b:2/app?replicaSet=rs"),
            ("SECRET", "SECRET_FILE File", "mongodb://u:hunter2@a:1,b:2/db?replicaSet=rs"),
            ("SECRET_FILE", "SECRET_FILE File", "mongodb://u:hunter2@a:1,b:2/db?replicaSet=rs"),
            ("ENDED", "ENDED_FILE File", "mongodb://a:1,b:2/db?replicaSet=rs\n"),
        ] {
            assert_eq!(one(set), Ok((place.to_owned(), expected.to_owned())), "{set}");
        }
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for (set, expected) in [
            ("NONE", "NONE is not set; set it to a mongodb:// URI, or give a template such as NONE={uri}"),
            ("PLAIN", "PLAIN: does not hold a URI that begins with mongodb:// or mongodb+srv://"),
            ("TWO", "TWO and TWO_FILE are both set: keep one of them"),
            ("LOST", "the file that LOST_FILE names: is empty"),
            ("1X={uri}", "the part before `=` is not a name of a variable (letters, digits, `_`, `.` and `-`)"),
            ("X={names}", "X has {names}, but the members have different ports: use {hosts} or {uri}"),
        ] {
            assert_eq!(one(set), Err(expected.to_owned()), "{set}");
        }
        let twice = "X is set twice".to_owned();
        assert_eq!(values(&["X={uri}", "X={hosts}"], &Inserts::default()), Err(twice));
        let twice = "SECRET_FILE is set twice".to_owned();
        assert_eq!(values(&["SECRET", "SECRET_FILE"], &Inserts::default()), Err(twice));
    }

    #[test]
    fn a_user_that_was_given_is_in_a_value_or_nothing_starts() {
        let credentials = Credentials { username: "chat".into(), password: Secret::new("p@ss"), auth_source: None };
        let inserts = Inserts { database: None, credentials: Some(credentials) };
        let expected = "mongodb://chat:p%40ss@a:1,b:2/app?authSource=admin&replicaSet=rs";
        assert_eq!(values(&["PLAIN_URI"], &inserts).unwrap()[0].1, expected);
        let beside = values(&["X={hosts}", "PLAIN_URI", "Y={replica_set}"], &inserts).unwrap();
        assert_eq!((beside[0].1.as_str(), beside[1].1.as_str()), ("a:1,b:2", expected));
        let expected = "no variable has a place for --username: give one a mongodb:// URI, or a template with {uri}";
        assert_eq!(values(&["X={hosts}"], &inserts), Err(expected.to_owned()));
        let expected = "LCB_DATABASE_URI: holds a URI with a user of its own, and --username gives another one";
        assert_eq!(values(&["LCB_DATABASE_URI"], &inserts), Err(expected.to_owned()));
    }
}
