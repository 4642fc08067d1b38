#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use super::*;

fn inputs(env: &[(&str, &str)]) -> Inputs {
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Inputs {
        file: None,
        env,
        flags: Vec::new(),
    }
}

fn evaluate(text: &str) -> Result<Loaded, Report> {
    inputs(&[]).evaluate(Path::new("rkgate.toml"), text)
}

/// Each golden file ends with what is said of it, as comments. `UPDATE_GOLDEN=1` writes them anew.
#[test]
fn problems_look_as_in_the_golden_files() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/golden");
    let mut seen = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let input = text.split("# ---\n").next().unwrap();
        let report = match evaluate(input) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        let mut actual = format!("{input}# ---\n");
        for line in report.to_string().lines() {
            actual.push_str(format!("# {line}").trim_end());
            actual.push('\n');
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &actual).unwrap();
        } else {
            assert_eq!(text, actual, "{}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} golden files");
}

#[test]
fn nothing_at_all_is_a_working_configuration_on_loopback() {
    let loaded = evaluate("").unwrap();
    let config = loaded.config;
    assert!(loaded.warnings.problems.is_empty());
    assert_eq!(config.listen.api.to_string(), "127.0.0.1:3588");
    assert_eq!(config.listen.admin.to_string(), "127.0.0.1:3589");
    assert_eq!(config.engine.library, Library::Auto);
    assert_eq!(config.limits.body, 64 << 20);
    assert!(config.keys.is_empty() && config.upstreams.is_empty());
}

#[test]
fn the_environment_overrides_the_file_and_a_flag_overrides_both() {
    let file = "[engine]\nlibrary = \"a.so\"\nqueue_limit = 1\nmodels_dir = \"m\"\n";
    let path = Path::new("/etc/rkgate/rkgate.toml");
    let mut inputs = inputs(&[
        ("RKGATE_ENGINE__LIBRARY", "b.so"),
        ("RKGATE_ENGINE__QUEUE_LIMIT", "2"),
    ]);
    let config = inputs.evaluate(path, file).unwrap().config;
    assert_eq!(
        config.engine.library,
        Library::Path("b.so".into()),
        "starts where rkgate was started"
    );
    assert_eq!(config.engine.queue_limit, 2);
    assert_eq!(
        config.engine.models_dir,
        Path::new("/etc/rkgate/m"),
        "starts at the file"
    );
    inputs.flag("--library", "engine", "library", "sim");
    let config = inputs.evaluate(path, file).unwrap().config;
    assert_eq!(config.engine.library, Library::Sim);
}

#[test]
fn every_kind_of_value_can_come_from_the_environment() {
    let config = inputs(&[
        ("RKGATE_LISTEN__API", "127.0.0.1:0"),
        ("RKGATE_ENGINE__ABI", "1.3.0"),
        ("RKGATE_ENGINE__MEMORY_BUDGET", "6GiB"),
        ("RKGATE_AUTH__ALLOW_ANONYMOUS", "true"),
        ("RKGATE_TELEMETRY__LOG_FILE", "\"7\""),
        ("RKGATE_PORT", "tcp://10.0.0.1:80"),
    ])
    .evaluate(Path::new("rkgate.toml"), "")
    .unwrap()
    .config;
    assert_eq!(config.listen.api.to_string(), "127.0.0.1:0");
    assert_eq!(config.engine.abi, Some(Abi::V1_3_0));
    assert_eq!(
        config.engine.memory_budget,
        Budget::Bytes(ByteSize(6 << 30))
    );
    assert_eq!(config.telemetry.log_file.as_deref(), Some(Path::new("7")));
}

#[test]
fn errors_name_the_variable_or_the_flag() {
    let mut inputs = inputs(&[
        ("RKGATE_ENGINE__LIBARY", "sim"),
        ("RKGATE_LISTEN__ADMIN", "nowhere"),
        ("RKGATE_UPSTREAM__NAME", "x"),
        ("RKGATE_NOSUCH__KEY", "x"),
    ]);
    inputs.flag("--api", "listen", "api", "x:y");
    let text = inputs
        .evaluate(Path::new("rkgate.toml"), "[[upstream]]\n")
        .unwrap_err()
        .to_string();
    for part in [
        "RKGATE_ENGINE__LIBARY=sim",
        "did you mean `library`?",
        "RKGATE_LISTEN__ADMIN=nowhere",
        "RKGATE_UPSTREAM__NAME=x",
        "lists can be set in the file only",
        "RKGATE_NOSUCH__KEY=x",
        "--api=x:y",
    ] {
        assert!(text.contains(part), "missing {part} in\n{text}");
    }
}

#[test]
fn tools_read_the_same_problems_as_json() {
    let report = evaluate("[engine]\nlibary = \"sim\"\n").unwrap_err();
    let json: serde_json::Value =
        serde_json::from_str(&Report::to_json(std::slice::from_ref(&report)).unwrap()).unwrap();
    let expected = serde_json::json!([{
        "code": "C002",
        "severity": "error",
        "message": "unknown key `libary`",
        "places": [{ "file": "rkgate.toml", "line": 2, "column": 1, "end_line": 2, "end_column": 7, "label": "" }],
        "help": ["did you mean `library`?"],
    }]);
    assert_eq!(json, expected);
}

#[test]
fn keys_open_only_to_those_who_have_them() {
    let dir = tempfile::tempdir().unwrap();
    // printf %s open-sesame | sha256sum
    let sha256 = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";
    let key = format!("[[key]]\nname = \"webui\"\nsha256 = \"{sha256}\"\n");
    let path = dir.path().join("rkgate.toml");
    let with = |keys: &str| {
        fs::write(dir.path().join("keys.toml"), keys).unwrap();
        let evaluated = inputs(&[]).evaluate(&path, "[listen]\napi = \"0.0.0.0:0\"\n");
        evaluated.unwrap().config
    };
    let config = with(&key);
    assert_eq!(config.keys.admin("open-sesame"), Some("webui"));
    assert_eq!(config.keys.admin("open-barley"), None);
    let chats_only = with(&format!("{key}admin = false\n"));
    assert_eq!(chats_only.keys.admin("open-sesame"), None);
    assert_eq!(chats_only.keys.digests().count(), 1);
    assert!(!format!("{config:?}").contains(&sha256[..8]));
}

#[test]
fn a_broken_key_is_shown_in_its_own_file() {
    let dir = tempfile::tempdir().unwrap();
    let keys = "[[key]]\nname = \"a\"\nsha256 = \"123\"\n[[key]]\nname = \"b\"\nhash = \"\"\n";
    fs::write(dir.path().join("keys.toml"), keys).unwrap();
    let text = inputs(&[])
        .evaluate(&dir.path().join("rkgate.toml"), "# nothing\n")
        .unwrap_err()
        .to_string();
    for part in [
        "keys.toml:3:10",
        "expected 64 hexadecimal digits",
        "keys.toml:6:1",
        "unknown key `hash`",
    ] {
        assert!(text.contains(part), "missing {part} in\n{text}");
    }
}

#[test]
fn upstream_keys_come_from_the_environment_and_are_not_printed() {
    let text = "[[upstream]]\nname = \"a\"\nurls = [\"http://127.0.0.1:1/v1\"]\napi_key_env = \"SECRET\"\n";
    let config = inputs(&[("SECRET", "s3cr3t")])
        .evaluate(Path::new("rkgate.toml"), text)
        .unwrap()
        .config;
    assert_eq!(config.upstreams[0].api_key, Some(ApiKey("s3cr3t".into())));
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[test]
fn the_committed_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/config.schema.json");
    let schema = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        schema,
        "run `make schemas`"
    );
}

#[test]
fn the_starter_file_spells_out_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rkgate.example.toml");
    let text = fs::read_to_string(path).unwrap();
    let starter = evaluate(&text).unwrap();
    assert!(starter.warnings.problems.is_empty());
    assert_eq!(
        format!("{:?}", starter.config),
        format!("{:?}", evaluate("").unwrap().config)
    );
    let schema = serde_json::to_value(schema()).unwrap();
    for (name, section) in schema["definitions"].as_object().unwrap() {
        for key in section["properties"].as_object().unwrap().keys() {
            let documented = text.lines().any(|line| {
                line.trim_start_matches("# ")
                    .starts_with(&format!("{key} ="))
            });
            assert!(
                documented || ["Alias", "PromptCache"].contains(&name.as_str()),
                "{name}.{key} is not in the starter file"
            );
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[|\\]|=|\"|\n|engine|listen|upstream|name|é|[0-9.]|api){0,40}") {
        match evaluate(&text) {
            Ok(loaded) => drop(loaded.warnings.to_string()),
            Err(report) => drop((report.to_string(), Report::to_json(&[report]).unwrap())),
        }
    }
}
