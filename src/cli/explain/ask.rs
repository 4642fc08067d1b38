//! The models that a request may go to.

use crate::{
    cli::{Failure, code},
    config::Upstream,
    engine::catalog::{Catalog, upstream_model},
    policy::{Facts, ModelFact},
    problem::closest,
};

/// The engine's models, then those that the configuration names of upstreams. Servers are not asked for theirs. A sole
/// upstream without a list gets every other name, as it does from the gateway.
pub(super) fn facts(catalog: &Catalog, upstreams: &[Upstream], asked: &str) -> Facts {
    let mut models: Vec<ModelFact> = catalog.models().iter().map(ModelFact::from).collect();
    for upstream in upstreams {
        let aliases = upstream.models.iter();
        models.extend(aliases.map(|alias| ModelFact {
            id: alias.name.as_str().into(),
            aliases: vec![alias.model.clone()],
            ..upstream_model(&alias.model, upstream.name.as_str())
        }));
    }
    let mut facts = Facts { models };
    let mut open = upstreams
        .iter()
        .filter(|upstream| upstream.models.is_empty());
    if let (Some(upstream), None) = (open.next(), open.next())
        && facts.model(asked).is_none()
    {
        let model = upstream_model(asked, upstream.name.as_str());
        facts.models.push(model);
    }
    facts
}

/// The id of the model that `--engine` names: a model, or an upstream with the model that was asked for, or its only
/// one.
pub(super) fn forced(
    name: &str,
    facts: &mut Facts,
    upstreams: &[Upstream],
    asked: &str,
) -> Result<String, Failure> {
    if let Some(model) = facts.model(name) {
        return Ok(model.id.to_string());
    }
    let Some(upstream) = upstreams.iter().find(|upstream| upstream.name == name) else {
        let models = facts.models.iter().map(|model| model.id.as_ref());
        let known: Vec<&str> = models
            .chain(upstreams.iter().map(|upstream| upstream.name.as_str()))
            .collect();
        let hint = match closest(name, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => "there is none at all".to_owned(),
            None => format!("known are: {}", known.join(", ")),
        };
        let name = crate::cli::paint::line(name);
        let message = format!("error: there is no model or upstream `{name}`\nhelp: {hint}");
        return Err(Failure::new(code::MISUSE, message));
    };
    let names: Vec<&str> = upstream
        .models
        .iter()
        .map(|alias| alias.name.as_str())
        .collect();
    match names.as_slice() {
        [] => {
            // It is to answer for a name that another may have too.
            facts.models.retain(|model| !model.is_called(asked));
            facts.models.push(upstream_model(asked, name));
            Ok(asked.to_owned())
        }
        [only] => Ok((*only).to_owned()),
        several => match several.iter().find(|model| **model == asked) {
            Some(model) => Ok((*model).to_owned()),
            None => {
                let several = several.join(", ");
                let message = format!(
                    "error: the upstream `{name}` has several models\nhelp: name one of {several}"
                );
                Err(Failure::new(code::MISUSE, message))
            }
        },
    }
}
