//! The model's chat template: Jinja with the conventions of Hugging Face's `apply_chat_template`.

use std::fmt::Write as _;

use minijinja::{
    Environment, Error, ErrorKind, Value,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde},
};
use serde::Serialize;

const NAME: &str = "chat";

/// A compiled chat template.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
}

impl Template {
    /// Compiles the text of a chat template.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn new(source: String) -> Result<Self, String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", tojson);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment
            .add_template_owned(NAME, source)
            .map_err(|error| format!("chat template: {error:#}"))?;
        Ok(Self { environment })
    }

    /// The prompt for `context`.
    ///
    /// # Errors
    /// The template's own complaint (`raise_exception`) or what went wrong in it.
    pub(super) fn render(&self, context: impl Serialize) -> Result<String, String> {
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| error.to_string())?;
        template.render(Serde(context)).map_err(|error| {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            format!(
                "the model's chat template refuses the conversation: {}{cause}",
                error.detail().unwrap_or("it failed")
            )
        })
    }
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The local time in the format of C's strftime.
fn strftime_now(format: String) -> Result<String, Error> {
    let mut text = String::new();
    write!(text, "{}", chrono::Local::now().format(&format)).map_err(|_| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now: bad format `{format}`"),
        )
    })?;
    Ok(text)
}

/// JSON as Python's `json.dumps(value, ensure_ascii=False)` writes it: a blank after comma and colon, unless indented.
fn tojson(value: &Value, indent: Option<usize>, options: Kwargs) -> Result<Value, Error> {
    let indent = indent.or(options.get("indent")?);
    // Accepted for the template's sake; the output is the same either way for what templates are given.
    let _: (Option<Value>, Option<Value>, Option<Value>) = (
        options.get("ensure_ascii")?,
        options.get("separators")?,
        options.get("sort_keys")?,
    );
    options.assert_all_used()?;
    let mut json = Vec::new();
    let written = match indent {
        Some(width) => {
            let blanks = " ".repeat(width.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(blanks.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(
                &mut json, formatter,
            ))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut json, Spaced,
        )),
    };
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    let json = String::from_utf8(json)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(Value::from_safe_string(json))
}

/// Compact JSON with Python's blanks.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn render(source: &str, context: &serde_json::Value) -> Result<String, String> {
        Template::new(source.to_owned()).unwrap().render(context)
    }

    #[test]
    fn json_is_spelt_as_python_spells_it() {
        let context =
            json!({"tool": {"name": "søk", "b": [1, 2.5, "<a & 'b'>"], "a": {}, "n": null}});
        assert_eq!(
            render("{{ tool | tojson }}", &context).unwrap(),
            r#"{"name": "søk", "b": [1, 2.5, "<a & 'b'>"], "a": {}, "n": null}"#
        );
        assert_eq!(
            render("{{ {'a': [1]} | tojson(indent=4) }}", &context).unwrap(),
            "{\n    \"a\": [\n        1\n    ]\n}"
        );
    }

    #[test]
    fn blocks_take_their_line_break_and_indentation_along() {
        let source = "{% for m in messages %}\n  {% if m.startswith('a') %}\n{{ m }}|\n  {% endif %}\n{% endfor %}";
        assert_eq!(
            render(source, &json!({"messages": ["ab", "b", "ac"]})).unwrap(),
            "ab|\nac|\n"
        );
    }

    #[test]
    fn python_idioms_work() {
        let source = "{% set ns = namespace(i=0) %}{% for m in messages[::-1] %}{% set ns.i = ns.i + 1 %}\
                      {{ m.content.split('x')[-1].lstrip('\\n') }}{% endfor %}{{ ns.i }}\
                      {% if tools is defined and tools %}T{% endif %}";
        let context = json!({"messages": [{"content": "axb"}, {"content": "cx\nd"}]});
        assert_eq!(render(source, &context).unwrap(), "db2");
    }

    #[test]
    fn the_template_may_refuse_in_its_own_words() {
        let error =
            render("{{ raise_exception('roles must alternate') }}", &json!({})).unwrap_err();
        assert!(error.contains("roles must alternate"), "{error}");
    }

    #[test]
    fn the_clock_is_formatted() {
        let year = render("{{ strftime_now('%Y') }}", &json!({})).unwrap();
        assert!(year.parse::<u32>().unwrap() > 2000);
        assert!(render("{{ strftime_now('%Q') }}", &json!({})).is_err());
    }

    #[test]
    fn a_broken_template_is_refused() {
        assert!(Template::new("{% if %}".to_owned()).is_err());
    }
}
