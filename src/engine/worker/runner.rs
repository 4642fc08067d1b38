//! Loading the model and running it, on a thread of its own.

mod embedding;
mod prefix;

use std::{
    collections::{BTreeSet, HashSet},
    error::Error as _,
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rkllm::{
    Abi, AbortHandle, Input, Model, ModelOptions, OpenError, Role, RunError, RunOptions, RunReport,
    Runtime, Sampling, Turn,
};

use super::{
    Ready, ReadyPrompt, Shared,
    generation::{Generation, Habits, Verdict},
    lock, note,
    prefixes::{Prefixes, Saving},
    reusable,
};
use crate::engine::{
    library,
    protocol::{End, Finished, FromWorker, JobId, Load, Loaded, PromptCache, Start, WireAbi},
    sampling::Values,
};

/// What is read to warm up; every vocabulary has it.
const WARMING_TOKEN: i32 = 1;

/// What the running thread is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    /// The tokenizer is there: the ids that end an answer, and those that never show.
    Tokenizer {
        ends: BTreeSet<u32>,
        special: HashSet<u32>,
    },
    Load(Load),
    Run {
        job: JobId,
        max_tokens: u32,
        sampling: Values,
        abort: AbortHandle,
    },
}

/// The model and what is needed to run it.
#[derive(Debug)]
pub(super) struct Runner {
    shared: Arc<Shared>,
    library: Option<PathBuf>,
    abi: Option<Abi>,
    path: PathBuf,
    prompt_cache: Option<PromptCache>,
    ends: BTreeSet<u32>,
    special: HashSet<u32>,
    session: Option<Session>,
}

/// A loaded model.
#[derive(Debug)]
struct Session {
    runtime: Runtime,
    options: ModelOptions,
    /// `None` only between a failed reload and the next.
    model: Option<Model>,
    /// Whether the last run was aborted.
    aborted: bool,
    /// Whether an abort has left something else in the KV cache than what was read and said.
    spoilt_by_aborts: bool,
    /// Loads after the first that no run has told of yet.
    reloads: u32,
    prefixes: Option<Prefixes>,
}

/// A run under way.
struct Pass<'a> {
    ready: &'a ReadyPrompt,
    values: Values,
    abort: &'a AbortHandle,
    generation: Generation<'a>,
    saving: Option<Saving>,
    emit: &'a mut (dyn FnMut(String, u32) + Send),
    first_token: Option<Duration>,
    began: Instant,
}

impl Pass<'_> {
    /// Whether the gateway has stopped the run in the middle of the answer.
    fn was_stopped(&self) -> bool {
        self.generation.end.is_none() && self.abort.is_aborted()
    }

    /// The ids of a stopped answer whose text has left; the half of a character would be lost when it goes on.
    fn answer_so_far(&mut self) -> Vec<u32> {
        match self.ready {
            ReadyPrompt::Tokens { .. } if self.was_stopped() => self.generation.take_back(),
            _ => Vec::new(),
        }
    }
}

impl Runner {
    pub(super) fn new(start: &Start, shared: Arc<Shared>) -> Self {
        Self {
            shared,
            library: start.library.clone(),
            abi: start.abi.map(abi),
            path: start.model.clone(),
            prompt_cache: start.prompt_cache.clone(),
            ends: BTreeSet::new(),
            special: HashSet::new(),
            session: None,
        }
    }

    /// Takes over what the tokenizer's files say.
    pub(super) fn know(&mut self, ends: BTreeSet<u32>, special: HashSet<u32>) {
        self.ends = ends;
        self.special = special;
    }

    /// Loads the model; seconds pass.
    ///
    /// # Errors
    /// What failed; the runtime's own words are in what it printed.
    pub(super) fn load(&mut self, load: Load) -> Result<Loaded, String> {
        let runtime = match &self.library {
            Some(path) => Runtime::open(path, self.abi).map_err(|error| cannot_open(&error))?,
            None => rkllm_sim::runtime(self.abi.unwrap_or(library::SIMULATED_ABI)),
        };
        let context = i32::try_from(load.context).unwrap_or(i32::MAX);
        // Where a run cannot say how much it may generate, the worker counts; the context is the runtime's limit.
        let mut options = ModelOptions::new(&self.path, context, context);
        options.sampling = Some(sampling(load.sampling));
        options.base_domain_id = load.domain;
        options.embed_flash = load.embed_flash;
        options.enabled_cpus_mask = load.cpu_mask;
        let model = runtime.load(&options).map_err(|error| error.to_string())?;
        let loaded = Loaded {
            version: runtime.version().map(ToString::to_string),
            abi: runtime.abi().to_string(),
            per_run_sampling: runtime.capabilities().per_run_sampling,
        };
        let mut session = Session {
            runtime,
            options,
            model: Some(model),
            aborted: false,
            spoilt_by_aborts: false,
            reloads: 0,
            prefixes: self.prefixes(load.context),
        };
        if load.warm_up {
            session.warm_up();
        }
        self.session = Some(session);
        Ok(loaded)
    }

    /// Runs a prepared job to its end.
    ///
    /// # Errors
    /// What failed; the runtime's own words are in what it printed.
    pub(super) fn run(
        &mut self,
        job: JobId,
        limit: u32,
        values: Values,
        abort: &AbortHandle,
    ) -> Result<Finished, String> {
        let Self {
            shared,
            ends,
            special,
            session,
            ..
        } = self;
        let ready = lock(&shared.ready)
            .remove(&job)
            .ok_or("the prompt was not prepared")?;
        let session = session.as_mut().ok_or("the model is not loaded")?;
        let mut ready = match ready {
            Ready::Prompt(prompt) => prompt,
            Ready::Passage(ids) => {
                let (vector, finished) = session.embed(shared, &ids, abort)?;
                if let Some(vector) = vector {
                    shared.send(&FromWorker::Embedding { job, vector });
                }
                return Ok(session.told(finished));
            }
        };
        let awaited = match &mut ready {
            ReadyPrompt::Tokens { awaited, .. } => awaited.take(),
            ReadyPrompt::Text { .. } => None,
        };
        let mut said = String::new();
        let mut emit = |text: String, tokens: u32| {
            if awaited.is_some() {
                said.push_str(&text);
            }
            shared.send(&FromWorker::Token { job, text, tokens });
        };
        let fetched = session.fetch(shared, &ready);
        let predicted = match &ready {
            ReadyPrompt::Tokens { ids, .. } => reusable(&lock(&shared.kv), ids),
            ReadyPrompt::Text { .. } => 0,
        };
        let mut pass = Pass {
            saving: session.saving(&ready, predicted),
            ready: &ready,
            values,
            abort,
            generation: Generation::new(ends, special, limit, session.habits()),
            emit: &mut emit,
            first_token: None,
            began: Instant::now(),
        };
        shared.send(&FromWorker::Running {
            job,
            cached: predicted,
            writes: pass.saving.as_ref().map_or(0, Saving::size),
        });
        let mut report = session.pass(shared, &mut pass, predicted)?;
        if session.may_have_lost_its_end_token(&pass, &report) {
            // A model of an older converter: the runtime stops at token 11, a comma in most vocabularies. From now on
            // end tokens are found here.
            note(
                "W rkgate: the runtime stopped without an end token; the model is loaded again to find end tokens here",
            );
            session.options.ignore_eos_token = true;
            session.reload(shared)?;
            pass.generation.habits = session.habits();
            report.aborted = session.pass(shared, &mut pass, 0)?.aborted;
            // The runtime's numbers are of one pass each; the clock knows both.
            report.perf = None;
        }
        let answer = pass.answer_so_far();
        pass.generation.finish(pass.emit);
        let saved = session.keep(shared, pass.saving.take(), &report);
        let finished = Finished {
            answer,
            saved,
            reusable: shared.reusable(),
            ..session.finished(&pass, &report, predicted)
        };
        let finished = session.account(finished, &report, fetched);
        let ids = pass.generation.ids;
        if let Some(awaited) = awaited.filter(|_| !ids.is_empty()) {
            awaited.keep(&said, &ids, ends, &mut lock(&shared.memory));
        }
        Ok(session.told(finished))
    }
}

impl Session {
    /// Runs one token and forgets it. What fails here will fail for the first job too, which has somebody to tell.
    fn warm_up(&mut self) {
        let Some(model) = &mut self.model else {
            return;
        };
        let limited = model.capabilities().per_run_sampling;
        let options = RunOptions {
            max_new_tokens: limited.then_some(NonZeroU32::MIN),
            ..RunOptions::default()
        };
        let abort = options.abort.clone();
        let run = model.run(Input::Tokens(&[WARMING_TOKEN]), &options, &mut |_| {
            if !limited {
                abort.abort();
            }
        });
        if let Err(error) = run {
            note(&format!("W rkgate: the warm-up has failed: {error}"));
        }
        // Where emptying it fails, the first job finds less than it reads, and no more.
        let _ = model.clear_kv_cache(false);
    }

    /// What this runtime, loaded with these options, stops at by itself.
    fn habits(&self) -> Habits {
        Habits {
            end_token: !self.options.ignore_eos_token,
            limit: self.runtime.capabilities().per_run_sampling,
        }
    }

    /// Runs the prompt and the answer so far, and loads the model again where an abort has left it unusable.
    ///
    /// What was read and said before an abort is in the KV cache, and the runtime compares the next prompt with it. As
    /// no vendor promises so much, a runtime that finds less there than `predicted`, or refuses to run, has its cache
    /// emptied after each abort from then on.
    fn pass(
        &mut self,
        shared: &Shared,
        pass: &mut Pass<'_>,
        predicted: u32,
    ) -> Result<RunReport, String> {
        if self.model.is_none() {
            self.reload(shared)?;
        }
        let after_abort = self.aborted;
        let outcome = match self.attempt(pass) {
            Err(RunError::ReloadNeeded) => {
                self.spoilt_by_aborts = true;
                self.reload(shared)?;
                self.attempt(pass)
            }
            outcome => outcome,
        };
        let report = match &outcome {
            Ok(report) if !report.began => return Ok(report.clone()),
            Ok(report) => Some(report),
            Err(_) => None,
        };
        self.aborted = report.is_some_and(|report| report.aborted);
        let mut kv = lock(&shared.kv);
        kv.clear();
        if let (Some(report), ReadyPrompt::Tokens { ids, .. }) = (report, pass.ready) {
            if let Some(perf) = report
                .perf
                .filter(|perf| after_abort && perf.prefill_tokens > 0)
            {
                let found = ids.len().saturating_sub(perf.prefill_tokens as usize);
                self.spoilt_by_aborts |= found < predicted as usize;
            }
            if !(self.spoilt_by_aborts && report.aborted) {
                kv.extend_from_slice(ids);
                kv.extend_from_slice(&pass.generation.ids);
            }
        }
        if kv.is_empty() {
            // Fails at worst with a next run that is refused and loads the model again.
            let _ = self.model.as_mut().map(Model::recover_after_abort);
        }
        outcome.map_err(|error| error.to_string())
    }

    fn attempt(&mut self, pass: &mut Pass<'_>) -> Result<RunReport, RunError> {
        let model = self.model.as_mut().ok_or(RunError::ReloadNeeded)?;
        let capabilities = model.capabilities();
        let Pass {
            ready,
            values,
            abort,
            generation,
            saving,
            emit,
            first_token,
            began,
        } = pass;
        let rest = generation
            .limit
            .saturating_sub(generation.completion())
            .max(1);
        let options = RunOptions {
            sampling: capabilities.per_run_sampling.then(|| sampling(*values)),
            max_new_tokens: capabilities
                .per_run_sampling
                .then_some(NonZeroU32::new(rest))
                .flatten(),
            abort: abort.clone(),
            save_prompt_cache: saving.as_ref().map(Saving::path),
            ..RunOptions::default()
        };
        let ids: Vec<i32>;
        let input = match ready {
            ReadyPrompt::Tokens { ids: prompt, .. } => {
                ids = prompt
                    .iter()
                    .chain(&generation.ids)
                    .filter_map(|id| i32::try_from(*id).ok())
                    .collect();
                Input::Tokens(&ids)
            }
            ReadyPrompt::Text { text, thinking } => {
                let enable_thinking = thinking.filter(|_| capabilities.enable_thinking);
                Input::Prompt {
                    text,
                    turn: Turn {
                        role: Role::User,
                        enable_thinking,
                    },
                }
            }
        };
        model.run(input, &options, &mut |piece| {
            first_token.get_or_insert_with(|| began.elapsed());
            if generation.take(piece.token_id, piece.bytes, *emit) == Verdict::Stop {
                abort.abort();
            }
        })
    }

    fn reload(&mut self, shared: &Shared) -> Result<(), String> {
        shared.send(&FromWorker::Reloading);
        self.reloads += 1;
        // The old one must be gone first: both do not fit into memory.
        self.model = None;
        lock(&shared.kv).clear();
        self.model = Some(
            self.runtime
                .load(&self.options)
                .map_err(|error| error.to_string())?,
        );
        Ok(())
    }

    /// Tells of the loads that there were for the run.
    fn told(&mut self, finished: Finished) -> Finished {
        Finished {
            reloads: std::mem::take(&mut self.reloads),
            ..finished
        }
    }

    /// Whether this looks like runtime 1.3.0 with a model whose end token it does not know.
    fn may_have_lost_its_end_token(&self, pass: &Pass<'_>, report: &RunReport) -> bool {
        self.runtime.abi() == Abi::V1_3_0
            && !self.options.ignore_eos_token
            && matches!(pass.ready, ReadyPrompt::Tokens { .. })
            && pass.generation.end.is_none()
            && !report.aborted
    }

    fn finished(&mut self, pass: &Pass<'_>, report: &RunReport, predicted: u32) -> Finished {
        let completion = pass.generation.completion();
        // After an abort the numbers may be zero.
        let perf = report.perf.filter(|perf| perf.prefill_tokens > 0);
        let prompt = match pass.ready {
            ReadyPrompt::Tokens { ids, .. } => u32::try_from(ids.len()).unwrap_or(u32::MAX),
            ReadyPrompt::Text { .. } => {
                let held = self
                    .model
                    .as_mut()
                    .and_then(|model| model.kv_cache_size().ok())
                    .unwrap_or(0);
                held.saturating_sub(completion)
                    .max(perf.map_or(0, |perf| perf.prefill_tokens))
            }
        };
        let total = pass.began.elapsed();
        let prefill = perf.map_or(pass.first_token.unwrap_or(total), |perf| perf.prefill);
        let decode = perf.map_or(total.saturating_sub(prefill), |perf| perf.generate);
        // A model that was loaded again held nothing.
        let held = if self.reloads > 0 { 0 } else { predicted };
        Finished {
            reason: match pass.generation.end {
                Some(end) => end,
                None if pass.abort.is_aborted() => End::Aborted,
                None => End::Stop,
            },
            prompt,
            cached: perf.map_or(held, |perf| prompt.saturating_sub(perf.prefill_tokens)),
            predicted,
            loaded: 0,
            saved: false,
            completion,
            prefill_ms: prefill.as_secs_f32() * 1e3,
            decode_ms: decode.as_secs_f32() * 1e3,
            reloads: 0,
            answer: Vec::new(),
            reusable: Vec::new(),
        }
    }
}

/// Why a library cannot be used, with its causes and a cure where there is one.
fn cannot_open(error: &OpenError) -> String {
    let mut says = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_says = cause.to_string();
        // Some say their cause themselves.
        if !says.ends_with(&cause_says) {
            says.push_str(&format!(": {cause_says}"));
        }
        source = cause.source();
    }
    let cure = match error {
        OpenError::UnknownVersion { .. } => library::OTHER_VERSION,
        OpenError::Version(_) => library::GET,
        OpenError::Loader { .. } if says.contains("libgomp") => library::GET_OPENMP,
        OpenError::Loader { .. } | OpenError::Symbol { .. } => return says,
    };
    format!("{says}; {cure}")
}

fn abi(abi: WireAbi) -> Abi {
    match abi {
        WireAbi::V1_2_0 => Abi::V1_2_0,
        WireAbi::V1_2_1 => Abi::V1_2_1,
        WireAbi::V1_3_0 => Abi::V1_3_0,
    }
}

fn sampling(values: Values) -> Sampling {
    Sampling {
        top_k: values.top_k,
        top_p: values.top_p,
        temperature: values.temperature,
        repeat_penalty: values.repeat_penalty,
        frequency_penalty: values.frequency_penalty,
        presence_penalty: values.presence_penalty,
        mirostat: 0,
        mirostat_tau: 5.0,
        mirostat_eta: 0.1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_library_that_cannot_be_opened_is_told_with_cause_and_cure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("librkllmrt.so");
        let told = || cannot_open(&Runtime::open(&path, None).unwrap_err());
        let missing = told();
        assert!(missing.contains("No such file"), "{missing}");
        for (version, cure) in [("1.4.0", library::OTHER_VERSION), ("", library::GET)] {
            std::fs::write(&path, format!("RKLLM SDK (version: {version} | ")).unwrap();
            let says = told();
            assert!(says.ends_with(cure), "{says}");
        }
    }
}
