//! Loading a model: `rkllm_init`.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicI32, AtomicU8},
};

use rkllm::abi::Abi;

use crate::{
    Composer, crash,
    domains::{self, Placement, Share},
    faults::Faults,
    knobs::Knobs,
    model_file::ModelFile,
    npu::{self, Npu},
    session::{Failed, Session, State},
    settings::Settings,
    timing, version,
    vocabulary::Vocabulary,
};

/// Chips that the runtime knows.
const PLATFORMS: [&str; 4] = ["RK3588", "RK3576", "RV1126B", "RK3562"];
/// The id that runtime 1.3.0 falls back to when it cannot read the model's own.
const FALLBACK_EOS: i32 = 11;

impl Session {
    /// Loads a model, printing what the real library prints. Takes the board's time.
    pub(crate) fn load(
        abi: Abi,
        settings: Settings,
        knobs: &Knobs,
        composer: Composer,
    ) -> Result<Self, Failed> {
        let loaded = Loading { abi, knobs }.load(settings, composer);
        if loaded.is_err() {
            knobs.console.error("rkllm_init failed");
        }
        loaded
    }
}

struct Loading<'a> {
    abi: Abi,
    knobs: &'a Knobs,
}

impl Loading<'_> {
    fn load(&self, settings: Settings, composer: Composer) -> Result<Session, Failed> {
        let console = self.knobs.console;
        self.check_board()?;
        console.info(format_args!(
            "loading rkllm model from {}",
            settings.model_path.display()
        ));
        let model = ModelFile::read(&settings.model_path).map_err(|error| {
            console.error(error);
            self.refuse("invalid rkllm model!")
        })?;
        let faults = model
            .faults(self.knobs.faults.clone())
            .map_err(|error| self.refuse(error))?;
        self.print_model(&model);
        self.check_model(&model, &faults)?;
        settings
            .check(&self.knobs.platform, &model.header)
            .map_err(|error| self.refuse(error))?;
        let vocabulary = Vocabulary::load(&model.tokenizer).map_err(|error| {
            console.error(format_args!(
                "failed to read tensor data: {}: {error}",
                model.tokenizer.display()
            ));
            self.refuse("invalid rkllm model!")
        })?;
        let spoken = self.end_tokens(&model, &vocabulary)?;
        let last_word = *spoken
            .first()
            .ok_or_else(|| self.refuse("invalid rkllm model!"))?;
        let lost = faults.eos_lost && self.abi == Abi::V1_3_0;
        let eos = if lost { vec![FALLBACK_EOS] } else { spoken };
        let memory = self.reserve(&settings, &model, &faults)?;
        let npu = Npu::open(self.knobs.speed, &self.knobs.npu).map_err(|error| {
            self.refuse(format_args!(
                "failed to lock {}: {error}",
                self.knobs.npu.display()
            ))
        })?;
        if faults.crash_load {
            crash::segfault();
        }
        if faults.hang_load {
            npu::hang();
        }
        let load_ms = timing::load_ms(model.header.size_bytes, faults.cold_load);
        npu.pass(load_ms);
        let cpus = settings.cpus();
        console.info(format_args!("Enabled cpus: {cpus:?}"));
        console.info(format_args!("Enabled cpus num: {}", cpus.len()));
        let session = Session {
            abi: self.abi,
            state: Mutex::new(State::new(settings.n_batch.into())),
            cached: (0..settings.n_batch).map(|_| AtomicI32::new(0)).collect(),
            settings,
            model,
            vocabulary,
            eos,
            last_word,
            console,
            faults,
            npu,
            composer,
            load_ms,
            _memory: memory,
            abort: AtomicBool::new(false),
            running: AtomicBool::new(false),
            clear: AtomicU8::new(0),
        };
        session.print_parameters();
        Ok(session)
    }

    fn refuse(&self, text: impl std::fmt::Display) -> Failed {
        self.knobs.console.error(text);
        Failed
    }

    fn check_board(&self) -> Result<(), Failed> {
        let Knobs {
            console,
            platform,
            faults,
            ..
        } = self.knobs;
        if faults.no_driver {
            console.driver_error("failed to open rknpu module, need to insmod rknpu dirver!");
            console.driver_error("failed to open rknn device!");
            return Err(Failed);
        }
        if !PLATFORMS.contains(&platform.as_str()) {
            console.line(format_args!(
                "E rkllm: Platform error, must be either RK3588, RK3576, RV1126B or RK3562. Your platform is {platform}"
            ));
            return Err(Failed);
        }
        console.info(format_args!(
            "rkllm-runtime version: {}, rknpu driver version: 0.9.8, platform: {platform}",
            version::number(self.abi)
        ));
        Ok(())
    }

    fn print_model(&self, model: &ModelFile) {
        let header = &model.header;
        let dtype = match self.abi {
            Abi::V1_2_0 => String::new(),
            _ => format!(", model_dtype: {}", header.dtype.to_uppercase()),
        };
        self.knobs.console.info(format_args!(
            "rkllm-toolkit version: {}, max_context_limit: {}, npu_core_num: {}, target_platform: {}{dtype}",
            header.toolkit, header.max_context, header.npu_core_num, header.platform
        ));
        if header.family == crate::Family::Qwen3Vl {
            self.knobs.console.info("Using mrope");
        }
    }

    fn check_model(&self, model: &ModelFile, faults: &Faults) -> Result<(), Failed> {
        let header = &model.header;
        if faults.wrong_platform || header.platform != self.knobs.platform {
            return Err(self.refuse("the model's target_platform does not match the real platform"));
        }
        // A toolkit version that is no version prints as it is and passes, as "unknown" does on boards.
        let Some(toolkit) = version::parse(&header.toolkit) else {
            return Ok(());
        };
        if version::parse(version::number(self.abi)).is_some_and(|runtime| runtime < toolkit) {
            return Err(self.refuse(format_args!(
                "The rkllm-runtime version is lower than the rkllm-toolkit version. Please update rkllm-runtime to {} \
                 or higher.",
                header.toolkit
            )));
        }
        if toolkit < (1, 2, 0) {
            self.knobs
                .console
                .warn("the model version is too old, please use the latest toolkit to reconvert the model");
            return Err(self.refuse("invalid rkllm model!"));
        }
        Ok(())
    }

    fn end_tokens(&self, model: &ModelFile, vocabulary: &Vocabulary) -> Result<Vec<i32>, Failed> {
        let ids = model.header.eos.iter().map(|spelling| {
            vocabulary.id(spelling).ok_or_else(|| {
                self.refuse(format_args!(
                    "failed to initialize context: the tokenizer has no token '{spelling}'"
                ))
            })
        });
        ids.collect()
    }

    fn reserve(
        &self,
        settings: &Settings,
        model: &ModelFile,
        faults: &Faults,
    ) -> Result<Option<Share>, Failed> {
        let Some(capacity) = faults.oom else {
            return Ok(None);
        };
        let placed = domains::place(
            &self.knobs.npu,
            settings.base_domain_id,
            f64::from(model.header.memory_mb),
            capacity,
        );
        match placed {
            Ok(Placement::Fits(share)) => Ok(Some(share)),
            Ok(Placement::Full) => {
                let console = self.knobs.console;
                console.driver_error(
                    "failed to allocate handle, ret: -1, errno: 14, errstr: Bad address",
                );
                let size = (f64::from(model.header.memory_mb) * 1024.0 * 1024.0) as u64;
                console.driver_error(format_args!(
                    "failed to malloc npu memory, size: {size}, flags: 0x2"
                ));
                console.driver_error("load model file error!");
                Err(Failed)
            }
            Err(error) => Err(self.refuse(format_args!("cannot account for NPU memory: {error}"))),
        }
    }
}

impl Session {
    fn print_parameters(&self) {
        if self.console.level < 2 {
            return;
        }
        let Settings {
            sampling,
            max_new_tokens,
            n_keep,
            ..
        } = &self.settings;
        self.console.info(format_args!(
            "Max Context Length: {}",
            self.settings.context(&self.model.header)
        ));
        self.console
            .info(format_args!("Max New Tokens: {max_new_tokens}"));
        self.console.info(format_args!("N Keep: {n_keep}"));
        self.console.info(format_args!("Top-K: {}", sampling.top_k));
        self.console
            .info(format_args!("Top-P: {:.2}", sampling.top_p));
        self.console
            .info(format_args!("Temperature: {:.2}", sampling.temperature));
        self.console.info(format_args!(
            "Repeat Penalty: {:.2}",
            sampling.repeat_penalty
        ));
        self.console.info(format_args!(
            "Frequency Penalty: {:.2}",
            sampling.frequency_penalty
        ));
        self.console.info(format_args!(
            "Presence Penalty: {:.2}",
            sampling.presence_penalty
        ));
        self.console
            .info(format_args!("Mirostat: {}", sampling.mirostat));
        self.console
            .info(format_args!("vocab_size: {}", self.vocabulary.size()));
        for (index, id) in self.eos.iter().enumerate() {
            self.console.info(format_args!("EOS token[{index}]: {id}"));
        }
    }
}
