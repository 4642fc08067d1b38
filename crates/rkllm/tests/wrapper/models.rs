//! Loading, everything but runs, and unloading.
use std::path::Path;

use rkllm::{
    Abi, AbortHandle, CallError, ImageTags, Images, Input, LoadError, Model, ModelOptions,
    MultiModal, OpenError, OptionError, RunError, RunOptions, Runtime, Sampling, SymbolTable, Turn,
    version::VersionError,
};

use crate::{
    ALL,
    fake::{Event, Script, journal, runtime, script},
};

fn load(test: &str, abi: Abi) -> (String, Model) {
    let path = format!("/{test}/{abi}.rkllm");
    script(
        &path,
        Script {
            events: vec![Event::Finish],
            ..Script::default()
        },
    );
    let model = runtime(abi)
        .load(&ModelOptions::new(&path, 4096, -1))
        .unwrap();
    (path, model)
}

#[test]
fn types_may_move_between_threads_as_documented() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Model>();
    send::<AbortHandle>();
    sync::<AbortHandle>();
    send::<Runtime>();
    sync::<Runtime>();
    sync::<SymbolTable>();
    send::<RunError>();
    sync::<RunError>();
    send::<LoadError>();
    sync::<LoadError>();
}

#[test]
fn what_is_left_open_stays_the_runtimes_default() {
    for abi in ALL {
        let (path, _model) = load("defaults", abi);
        let expected = "init context 4096 new -1 top_k 40 temperature 0.8 n_keep -1 skip 0 async 0 domain 0 flash 0 \
             cpus 4/0xf0";
        assert_eq!(journal(&path).calls, [expected]);
    }
}

#[test]
fn options_reach_the_library() {
    for abi in ALL {
        let path = format!("/options/{abi}.rkllm");
        let sampling = Sampling {
            top_k: 7,
            top_p: 0.5,
            temperature: 0.25,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            mirostat: 0,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
        };
        let options = ModelOptions {
            sampling: Some(sampling),
            n_keep: Some(17),
            skip_special_token: true,
            base_domain_id: 3,
            embed_flash: true,
            enabled_cpus_mask: Some(0b1011_0000),
            ..ModelOptions::new(&path, 2048, 99)
        };
        let model = runtime(abi).load(&options).unwrap();
        assert_eq!(model.sampling(), sampling);
        let expected = "init context 2048 new 99 top_k 7 temperature 0.25 n_keep 17 skip 1 async 0 domain 3 flash 1 cpus 3/0xb0";
        assert_eq!(journal(&path).calls, [expected]);
    }
}

#[test]
fn strings_live_until_the_model_is_destroyed() {
    for abi in ALL {
        let path = format!("/strings/{abi}.rkllm");
        let tags = ImageTags {
            start: "<|s|>".into(),
            end: "<|e|>".into(),
            content: "<|p|>".into(),
        };
        let options = ModelOptions {
            image_tags: tags,
            ..ModelOptions::new(&path, 2048, 99)
        };
        let model = runtime(abi).load(&options).unwrap();
        drop(options);
        // Moving the model must not move what the library points to.
        drop(Box::new(model));
        let journal = journal(&path);
        let expected = [path.as_str(), "<|s|>", "<|e|>", "<|p|>"];
        assert_eq!(
            journal.strings_at_destroy,
            expected[..journal.strings_at_destroy.len()]
        );
        assert_eq!(
            journal.strings_at_destroy.len(),
            if abi == Abi::V1_3_0 { 1 } else { 4 }
        );
        assert_eq!(journal.count("destroy"), 1);
    }
}

#[test]
fn image_tags_go_with_the_input_since_1_3_0() {
    let path = "/image tags/1.3.0.rkllm";
    script(
        path,
        Script {
            events: vec![Event::Finish],
            ..Script::default()
        },
    );
    let tags = ImageTags {
        start: "<|s|>".into(),
        end: "<|e|>".into(),
        content: "<|p|>".into(),
    };
    let options = ModelOptions {
        image_tags: tags,
        ..ModelOptions::new(path, 2048, 99)
    };
    let mut model = runtime(Abi::V1_3_0).load(&options).unwrap();
    let images = Some(Images {
        embed: &[1.0; 8],
        n_image: 2,
        n_image_tokens: 2,
        width: 1,
        height: 1,
    });
    let input = MultiModal {
        prompt: "<image> or <image>?",
        turn: Turn::default(),
        images,
        videos: None,
    };
    model
        .run(
            Input::MultiModal(input),
            &RunOptions::default(),
            &mut |_| {},
        )
        .unwrap();
    assert_eq!(
        journal(path).runs[0].image_tags,
        ["<|s|>", "<|e|>", "<|p|>"]
    );
    assert_eq!(journal(path).runs[0].embed.len(), 8);
}

#[test]
fn options_that_no_runtime_accepts_never_reach_it() {
    let path = "/bad/options.rkllm";
    let good = ModelOptions::new(path, 4096, 512);
    let bad = [
        (
            ModelOptions {
                max_context_len: 0,
                ..good.clone()
            },
            OptionError::ContextLength(0),
        ),
        (
            ModelOptions {
                max_new_tokens: 0,
                ..good.clone()
            },
            OptionError::NewTokens(0),
        ),
        (
            ModelOptions {
                base_domain_id: -1,
                ..good.clone()
            },
            OptionError::BaseDomain(-1),
        ),
        (
            ModelOptions {
                n_keep: Some(4096),
                ..good.clone()
            },
            OptionError::NKeep {
                n_keep: 4096,
                max_context_len: 4096,
            },
        ),
        (
            ModelOptions {
                enabled_cpus_mask: Some(0),
                ..good.clone()
            },
            OptionError::CpuMask(0),
        ),
        (
            ModelOptions {
                enabled_cpus_mask: Some(0x100),
                ..good.clone()
            },
            OptionError::CpuMask(0x100),
        ),
    ];
    for (options, expected) in bad {
        let error = runtime(Abi::V1_2_1).load(&options).expect_err("refused");
        assert!(
            matches!(error, LoadError::Option(found) if found == expected),
            "{error}"
        );
    }
    let nul = ModelOptions {
        path: "/a\0b".into(),
        ..good.clone()
    };
    assert!(matches!(
        runtime(Abi::V1_2_1).load(&nul),
        Err(LoadError::Nul(_))
    ));
    assert!(journal(path).calls.is_empty());
    let ignoring = ModelOptions {
        ignore_eos_token: true,
        ..good
    };
    for abi in ALL {
        let loaded = runtime(abi).load(&ignoring);
        assert_eq!(loaded.is_ok(), abi == Abi::V1_3_0);
        assert!(matches!(loaded, Ok(_) | Err(LoadError::Unsupported(_))));
    }
}

#[test]
fn a_load_that_fails_or_gives_no_handle_is_an_error() {
    for abi in ALL {
        for (name, play) in [
            (
                "failed",
                Script {
                    init_code: -1,
                    ..Script::default()
                },
            ),
            (
                "null",
                Script {
                    null_handle: true,
                    ..Script::default()
                },
            ),
        ] {
            let path = format!("/{name}/{abi}.rkllm");
            script(&path, play);
            let error = runtime(abi)
                .load(&ModelOptions::new(&path, 4096, 512))
                .expect_err("fails");
            match name {
                "failed" => assert!(
                    matches!(error, LoadError::Failed { code: -1, .. }),
                    "{error}"
                ),
                _ => assert!(matches!(error, LoadError::NoHandle { .. }), "{error}"),
            }
            assert!(error.to_string().contains(&path));
            assert_eq!(journal(&path).count("destroy"), 0);
        }
    }
}

#[test]
fn the_cache_is_cleared_measured_saved_and_loaded() {
    for abi in ALL {
        let (path, mut model) = load("cache", abi);
        model.clear_kv_cache(true).unwrap();
        model.clear_kv_cache(false).unwrap();
        match model.kv_cache_size() {
            Ok(size) => assert_eq!(size, 151),
            Err(error) => assert!(
                matches!(error, CallError::Unsupported(_)) && !abi.capabilities().kv_cache_size
            ),
        }
        let options = RunOptions {
            save_prompt_cache: Some(Path::new("/tmp/a.bin")),
            ..RunOptions::default()
        };
        model
            .run(Input::Tokens(&[1]), &options, &mut |_| {})
            .unwrap();
        assert_eq!(journal(&path).runs[0].save.as_deref(), Some("/tmp/a.bin"));
        model.load_prompt_cache(Path::new("/tmp/a.bin")).unwrap();
        model.load_prompt_cache(Path::new("/tmp/b.bin")).unwrap();
        model.release_prompt_cache().unwrap();
        let calls = journal(&path).calls;
        assert_eq!(calls[1..3], ["clear 1", "clear 0"]);
        let expected = [
            "load cache /tmp/a.bin",
            "release cache",
            "load cache /tmp/b.bin",
            "release cache",
        ];
        assert_eq!(calls[calls.len() - 4..], expected);
    }
}

#[test]
fn adapters_are_selected_by_the_names_they_were_loaded_by() {
    for abi in ALL {
        let (path, mut model) = load("lora", abi);
        model.load_lora(Path::new("/a.rkllm"), "poet", 0.5).unwrap();
        let with = |name| RunOptions {
            lora: Some(name),
            ..RunOptions::default()
        };
        model
            .run(Input::Tokens(&[1]), &with("poet"), &mut |_| {})
            .unwrap();
        let unknown = model
            .run(Input::Tokens(&[1]), &with("lawyer"), &mut |_| {})
            .unwrap_err();
        assert!(matches!(unknown, RunError::UnknownLora { name } if name == "lawyer"));
        let journal = journal(&path);
        assert_eq!(journal.count("lora /a.rkllm poet 0.5"), 1);
        assert_eq!(journal.runs.len(), 1);
        assert_eq!(journal.runs[0].lora.as_deref(), Some("poet"));
    }
}

#[test]
fn template_and_tools_reach_the_library() {
    for abi in ALL {
        let (path, mut model) = load("template", abi);
        model.set_chat_template("sys", "<u>", "<a>").unwrap();
        assert!(matches!(
            model.set_chat_template("\0", "", ""),
            Err(CallError::Nul(_))
        ));
        let tools = model.set_function_tools("sys", "[]", "tool_response");
        assert_eq!(tools.is_ok(), abi.capabilities().function_tools);
        let journal = journal(&path);
        assert_eq!(journal.count("template sys|<u>|<a>"), 1);
        assert_eq!(
            journal.count("tools sys|[]|tool_response"),
            usize::from(tools.is_ok())
        );
    }
}

#[test]
fn a_library_is_refused_before_its_code_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("librkllmrt.so");
    let open = |bytes: &str, abi| {
        std::fs::write(&path, bytes).unwrap();
        Runtime::open(&path, abi).expect_err("no library")
    };
    assert!(matches!(
        open("no mark", None),
        OpenError::Version(VersionError::Absent { .. })
    ));
    let unknown = open("RKLLM SDK (version: 1.4.0 |", None);
    assert!(
        matches!(&unknown, OpenError::UnknownVersion { version, .. } if version.to_string() == "1.4.0")
    );
    assert!(unknown.to_string().contains("1.4.0"));
    // An override goes on to the dynamic loader, which finds that this is no library.
    assert!(matches!(
        open("RKLLM SDK (version: 1.4.0 |", Some(Abi::V1_3_0)),
        OpenError::Loader { .. }
    ));
    assert!(matches!(
        open("no mark", Some(Abi::V1_3_0)),
        OpenError::Loader { .. }
    ));
    assert!(matches!(
        open("RKLLM SDK (version: 1.2.3 |", None),
        OpenError::Loader { .. }
    ));
    let absent =
        Runtime::open(&folder.path().join("absent.so"), Some(Abi::V1_3_0)).expect_err("absent");
    assert!(matches!(
        absent,
        OpenError::Version(VersionError::Read { .. })
    ));
}
