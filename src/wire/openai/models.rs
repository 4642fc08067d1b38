//! The model list.

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{error::DecodeError, json};

/// One entry of `/v1/models`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// The name that requests use.
    pub id: String,
    /// Always `model`.
    object: &'static str,
    /// Unix seconds; 0 where nobody knows.
    pub created: u64,
    /// Who offers the model.
    pub owned_by: String,
    /// Further fields, which Open WebUI keeps, e.g. `name` or `context_length`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Model {
    /// An entry without further fields.
    #[must_use]
    pub fn new(id: impl Into<String>, created: u64, owned_by: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            object: "model",
            created,
            owned_by: owned_by.into(),
            extra: Map::new(),
        }
    }

    /// The body of `GET /v1/models/{id}`.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        let mut out = BytesMut::new();
        json::write(&mut out, self);
        out.freeze()
    }
}

/// The body of `GET /v1/models`.
#[must_use]
pub fn model_list<'a>(models: impl IntoIterator<Item = &'a Model>) -> Bytes {
    #[derive(Serialize)]
    struct List<'a> {
        object: &'static str,
        data: Vec<&'a Model>,
    }
    let mut out = BytesMut::new();
    json::write(
        &mut out,
        &List {
            object: "list",
            data: models.into_iter().collect(),
        },
    );
    out.freeze()
}

/// Reads the model list of another server: `{"data":[…]}` or the bare list. Of every entry only `id` is needed;
/// entries without one are left out.
///
/// # Errors
/// If the body is no JSON or holds no list.
pub fn decode_models(body: &[u8]) -> Result<Vec<Model>, DecodeError> {
    let list = match serde_json::from_slice(body)? {
        Value::Object(mut object) => object.remove("data").unwrap_or(Value::Null),
        other => other,
    };
    let Value::Array(entries) = list else {
        return Err(DecodeError::field("data", "is not a list of models"));
    };
    Ok(entries.into_iter().filter_map(model).collect())
}

/// Standard fields of a wrong type are dropped: one odd entry must not cost the list.
fn model(entry: Value) -> Option<Model> {
    let Value::Object(mut entry) = entry else {
        return None;
    };
    let Some(Value::String(id)) = entry.remove("id") else {
        return None;
    };
    let created = entry
        .remove("created")
        .and_then(|created| created.as_u64())
        .unwrap_or(0);
    let owned_by = match entry.remove("owned_by") {
        Some(Value::String(owner)) => owner,
        _ => String::new(),
    };
    entry.remove("object");
    Some(Model {
        extra: entry,
        ..Model::new(id, created, owned_by)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_and_single_object() {
        let mut model = Model::new("qwen3-1.7b", 7, "rkgate");
        model.extra.insert("context_length".into(), 4096.into());
        let object = r#"{"id":"qwen3-1.7b","object":"model","created":7,"owned_by":"rkgate","context_length":4096}"#;
        assert_eq!(model.to_json(), object);
        assert_eq!(
            model_list([&model]),
            format!(r#"{{"object":"list","data":[{object}]}}"#)
        );
        assert_eq!(model_list([]), r#"{"object":"list","data":[]}"#);
    }

    #[test]
    fn lists_of_other_servers() {
        let body = br#"{"object":"list","data":[{"id":"a","created":1.5,"meta":{"n":1}},{"name":"b"},3],"models":[]}"#;
        let mut expected = Model::new("a", 0, "");
        expected
            .extra
            .insert("meta".into(), serde_json::json!({"n": 1}));
        assert_eq!(decode_models(body).unwrap(), [expected]);
        assert_eq!(
            decode_models(br#"[{"id":"a"}]"#).unwrap(),
            [Model::new("a", 0, "")]
        );
        assert_eq!(decode_models(b"{}").unwrap_err().param(), Some("data"));
        assert!(matches!(
            decode_models(b"<html>"),
            Err(DecodeError::Json { line: 1, .. })
        ));
    }
}
