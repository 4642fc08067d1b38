//! `[[test]]`: requests in rule and policy files and what must come of them.

use serde_json::{Map, Value as Json};
use toml::de::DeValue;

use super::{
    Class, Compiled, Decision, Facts, Headers, Input, ModelFact, Outcome, Set, StepOutcome,
    compile::Item,
    file::{
        table::{self, Table, Value},
        test::TEST,
    },
    sample::FIELDS,
};
use crate::{
    chat::{self, Role},
    problem::{Problem, Report, Span},
    wire::openai,
};

/// A test.
#[derive(Debug)]
pub(super) struct Case {
    name: String,
    request: chat::Request,
    headers: Vec<(String, String)>,
    facts: Facts,
    expectations: Vec<(Expectation, Span)>,
}

/// One thing that must come of it.
#[derive(Debug)]
enum Expectation {
    Class(Class),
    By(String),
    Labels(Vec<String>),
    Model(String),
    Profile(String),
    Thinking(bool),
    Sampling(&'static str, f64),
    MaxTokens(usize),
    Queue(String),
    Fallback(String),
    Cache(String),
    Think(String),
    Json(String),
    Denied(String),
    Unchanged(bool),
    Applied(String, bool),
    Messages(usize),
    Tools(Vec<String>),
    Text(Place, String),
    Has(Place, String, bool),
}

/// Where a text is looked for.
#[derive(Debug, Clone, Copy)]
enum Place {
    System,
    LastUser,
    Anywhere,
}

impl Compiled {
    /// Runs the tests of the files.
    ///
    /// # Errors
    /// The tests that failed, with the expectations that were not met.
    pub fn test(&self) -> Result<usize, Report> {
        let problems: Vec<Problem> = self
            .cases
            .iter()
            .flat_map(|case| case.run(&self.set))
            .chain(
                self.redaction_cases
                    .iter()
                    .filter_map(|case| case.run(&self.set.redaction)),
            )
            .collect();
        if problems.is_empty() {
            return Ok(self.cases.len() + self.redaction_cases.len());
        }
        Err(self.warnings.with(problems))
    }
}

impl Case {
    pub(super) fn compile(tests: &[&Item<'_>], problems: &mut Vec<Problem>) -> Vec<Self> {
        tests
            .iter()
            .filter_map(|item| Self::read(item, problems))
            .collect()
    }

    fn read(item: &Item<'_>, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let table = item.check(&[TEST], problems);
        if problems.len() > before {
            return None;
        }
        let models = table.tables("models");
        let facts = match models.as_slice() {
            [] => Facts::example(),
            models => Facts {
                models: models.iter().filter_map(model).collect(),
            },
        };
        let mut body = json(table.get("request")?.get_ref());
        if let (Json::Object(fields), Some(first)) = (&mut body, facts.models.first())
            && !fields.contains_key("model")
        {
            fields.insert("model".to_owned(), Json::from(first.id.as_ref()));
        }
        let request = match openai::decode_chat(body.to_string().as_bytes()) {
            Ok(request) => request,
            Err(error) => {
                let problem = Problem::error("P031", format!("this is no chat request: {error}"));
                problems.push(
                    problem
                        .at(Some(table.place("request")), "")
                        .help("for example: request = { messages = [{ role = \"user\", content = \"Hello\" }] }"),
                );
                return None;
            }
        };
        let headers = table.table("headers").map(|headers| {
            let pair = |(name, _, value): (&str, _, &Value<'_>)| {
                Some((name.to_ascii_lowercase(), table::text(value)?.to_owned()))
            };
            headers.entries().filter_map(pair).collect()
        });
        let mut expectations = expectations(&table.table("expect")?, problems);
        expectations.sort_by_key(|(_, span)| span.start);
        Some(Self {
            name: table.text("name")?.to_owned(),
            request,
            headers: headers.unwrap_or_default(),
            facts,
            expectations,
        })
    }

    /// What is not as expected.
    fn run(&self, set: &Set) -> Option<Problem> {
        let look_up = |name: &str| {
            let header = self.headers.iter().find(|(known, _)| known == name);
            header.map(|(_, value)| value.as_str())
        };
        let outcome = set.decide(&Input {
            request: &self.request,
            headers: Headers::new(&look_up),
            facts: &self.facts,
        });
        let expectations = self.expectations.iter();
        let mut unmet = expectations
            .filter_map(|(expectation, span)| {
                Some((expectation.unmet(&self.request, &outcome)?, span))
            })
            .peekable();
        unmet.peek()?;
        let problem = Problem::error("P040", format!("the test \"{}\" fails", self.name));
        let problem = problem
            .help("mend the rule or the expectation; `rkgate explain` tells why it came out so");
        Some(unmet.fold(problem, |problem, (is, span)| {
            problem.at(Some(span.clone()), is)
        }))
    }
}

impl Expectation {
    /// What came instead.
    fn unmet(&self, original: &chat::Request, outcome: &Outcome) -> Option<String> {
        let Decision {
            class,
            by,
            labels,
            model,
            profile,
            thinking,
            sampling,
            max_tokens,
            queue,
            answer,
            cache,
            deny,
        } = &outcome.decision;
        let request = outcome.request.as_ref().unwrap_or(original);
        match self {
            Self::Class(wanted) => differs(wanted.as_str(), Some(class.as_str())),
            Self::By(wanted) => differs(wanted, Some(by)),
            Self::Labels(wanted) => {
                let mut is: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
                is.sort_unstable();
                (is != *wanted).then(|| format!("is {is:?}"))
            }
            Self::Model(wanted) => differs(wanted, Some(model)),
            Self::Profile(wanted) => differs(wanted, profile.as_deref()),
            Self::Thinking(wanted) => (*thinking != Some(*wanted)).then(|| match thinking {
                Some(is) => format!("is {is}"),
                None => "is left to the model".to_owned(),
            }),
            Self::Sampling(name, wanted) => {
                let field = FIELDS.iter().find(|field| field.name == *name)?;
                match (field.get)(sampling) {
                    Some(is) if (is - wanted).abs() < 1e-6 => None,
                    Some(is) => Some(format!("is {}", is as f32)),
                    None => Some("is not set".to_owned()),
                }
            }
            Self::MaxTokens(wanted) => {
                (max_tokens.map(|is| is as usize) != Some(*wanted)).then(|| match max_tokens {
                    Some(is) => format!("is {is}"),
                    None => "is not set".to_owned(),
                })
            }
            Self::Queue(wanted) => differs(wanted, Some(&queue.name)),
            Self::Fallback(wanted) => differs(wanted, queue.fallback.as_deref()),
            Self::Cache(wanted) => differs(wanted, cache.as_ref().map(|cache| cache.by.as_ref())),
            Self::Think(wanted) => differs(wanted, Some(answer.think.unwrap_or_default().as_str())),
            Self::Json(wanted) => {
                differs(wanted, answer.json.as_ref().map(|json| json.key.as_ref()))
            }
            Self::Denied(wanted) => differs(wanted, deny.as_ref().map(|deny| deny.by.as_ref())),
            Self::Unchanged(wanted) => {
                let is = outcome.request.is_none();
                (is != *wanted)
                    .then(|| if is { "it is unchanged" } else { "it changed" }.to_owned())
            }
            Self::Applied(rule, wanted) => {
                let is = outcome.trace.steps.iter().any(|step| {
                    *step.rule == **rule && matches!(step.outcome, StepOutcome::Applied { .. })
                });
                (is != *wanted).then(|| {
                    if is {
                        "it changed something"
                    } else {
                        "it changed nothing"
                    }
                    .to_owned()
                })
            }
            Self::Messages(wanted) => {
                let is = request.messages.len();
                (is != *wanted).then(|| format!("there are {is}"))
            }
            Self::Tools(wanted) => {
                let is: Vec<&str> = request
                    .tools
                    .iter()
                    .map(|tool| tool.name.as_str())
                    .collect();
                (is != *wanted).then(|| format!("are {is:?}"))
            }
            Self::Text(place, wanted) => {
                let is = place.texts(request);
                match is.first() {
                    Some(is) if is == wanted => None,
                    Some(is) => Some(format!("is {is:?}")),
                    None => Some("there is none".to_owned()),
                }
            }
            Self::Has(place, text, wanted) => {
                let is = place
                    .texts(request)
                    .iter()
                    .any(|all| all.contains(text.as_str()));
                (is != *wanted).then(|| if is { "is there" } else { "is not there" }.to_owned())
            }
        }
    }
}

fn differs(wanted: &str, is: Option<&str>) -> Option<String> {
    (is != Some(wanted)).then(|| match is {
        Some(is) => format!("is {is:?}"),
        None => "is not set".to_owned(),
    })
}

impl Place {
    fn texts(self, request: &chat::Request) -> Vec<String> {
        let messages = request.messages.iter();
        let text = |message: &chat::Message| message.content.text().into_owned();
        match self {
            Self::System => messages
                .filter(|message| message.role == Role::System)
                .map(text)
                .collect(),
            Self::LastUser => messages
                .rev()
                .find(|message| message.role == Role::User)
                .map(text)
                .into_iter()
                .collect(),
            Self::Anywhere => messages.map(text).collect(),
        }
    }
}

fn expectations(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<(Expectation, Span)> {
    let mut all = Vec::new();
    for (key, _, value) in table.entries() {
        let word = || table.text(key).unwrap_or_default().to_owned();
        let words = || -> Vec<String> {
            table
                .texts(key)
                .into_iter()
                .map(|(word, _)| word.to_owned())
                .collect()
        };
        let flag = table.bool(key).unwrap_or_default();
        let count = table.count(key).unwrap_or_default();
        let mut each = |expectation: &dyn Fn(String) -> Expectation| {
            all.extend(
                table
                    .texts(key)
                    .into_iter()
                    .map(|(word, span)| (expectation(word.to_owned()), span)),
            );
        };
        let one = match key {
            "class" => Class::parse(&word()).map(Expectation::Class),
            "by" => Some(Expectation::By(word())),
            "labels" => {
                let mut labels = words();
                labels.sort_unstable();
                Some(Expectation::Labels(labels))
            }
            "model" => Some(Expectation::Model(word())),
            "profile" => Some(Expectation::Profile(word())),
            "thinking" => Some(Expectation::Thinking(flag)),
            "sampling" => {
                all.extend(sampling(table, problems));
                None
            }
            "max_tokens" => Some(Expectation::MaxTokens(count)),
            "queue" => Some(Expectation::Queue(word())),
            "fallback" => Some(Expectation::Fallback(word())),
            "cache" => Some(Expectation::Cache(word())),
            "think" => Some(Expectation::Think(word())),
            "json" => Some(Expectation::Json(word())),
            "denied" => Some(Expectation::Denied(word())),
            "unchanged" => Some(Expectation::Unchanged(flag)),
            "messages" => Some(Expectation::Messages(count)),
            "tools" => Some(Expectation::Tools(words())),
            "system" => Some(Expectation::Text(Place::System, word())),
            "last_user" => Some(Expectation::Text(Place::LastUser, word())),
            _ => {
                match key {
                    "applied" => each(&|id| Expectation::Applied(id, true)),
                    "not_applied" => each(&|id| Expectation::Applied(id, false)),
                    "system_has" => each(&|text| Expectation::Has(Place::System, text, true)),
                    "system_lacks" => each(&|text| Expectation::Has(Place::System, text, false)),
                    "last_user_has" => each(&|text| Expectation::Has(Place::LastUser, text, true)),
                    "last_user_lacks" => {
                        each(&|text| Expectation::Has(Place::LastUser, text, false))
                    }
                    "has" => each(&|text| Expectation::Has(Place::Anywhere, text, true)),
                    "lacks" => each(&|text| Expectation::Has(Place::Anywhere, text, false)),
                    _ => {}
                }
                None
            }
        };
        all.extend(one.map(|one| (one, value.span())));
    }
    all
}

fn sampling(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<(Expectation, Span)> {
    let Some(values) = table.table("sampling") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (name, span, value) in values.entries() {
        match FIELDS.iter().find(|field| field.name == name) {
            Some(field) => {
                let wanted = values.number(name).unwrap_or_default();
                all.push((Expectation::Sampling(field.name, wanted), value.span()));
            }
            None => {
                let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
                let problem =
                    Problem::error("P002", format!("unknown key `{name}`")).at(Some(span), "");
                problems.push(problem.help(format!("known are: {}", names.join(", "))));
            }
        }
    }
    all
}

fn model(table: &Table<'_>) -> Option<ModelFact> {
    Some(ModelFact {
        id: table.text("id")?.into(),
        aliases: Vec::new(),
        family: table.text("family").unwrap_or_default().to_owned(),
        context: table
            .count("context")
            .and_then(|context| u32::try_from(context).ok()),
        vision: table.bool("vision").unwrap_or(false),
        thinking: table.bool("thinking").unwrap_or(false),
        switchable: true,
        upstream: table.text("upstream").map(Into::into),
        chars_per_token: ModelFact::CHARS_PER_TOKEN,
    })
}

/// A TOML value as JSON.
fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Float(float) => float.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        DeValue::Boolean(flag) => Json::Bool(*flag),
        DeValue::Datetime(time) => Json::from(time.to_string()),
        DeValue::Array(list) => list.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let fields = table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())));
            Json::Object(fields.collect::<Map<_, _>>())
        }
    }
}
