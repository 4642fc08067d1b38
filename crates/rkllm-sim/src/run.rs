//! One run: reading the prompt, playing the answer token by token, ending.

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use rkllm::abi::{Abi, LLMCallState};

use crate::{
    Sampling,
    faults::Poisoned,
    input::Input,
    kv::Kv,
    npu::Pace,
    perf::Perf,
    prompt_cache,
    script::{self, Script},
    session::{Failed, Session, State},
    settings::Settings,
    timing,
};

mod decode;
mod hidden;
mod prompt;
#[cfg(test)]
mod tests;

/// Board time of work after which a chip without a fan has become hot.
const HEATING_MS: f64 = 20_000.0;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// One input per row of a batch.
    pub(crate) inputs: Vec<Input>,
    pub(crate) mode: Mode,
    pub(crate) keep_history: bool,
    /// Instead of the values given at init.
    pub(crate) sampling: Option<Sampling>,
    /// Instead of the limit given at init, if above 0.
    pub(crate) max_new_tokens: i32,
    pub(crate) lora: Option<String>,
    /// Where to save the cache after the run.
    pub(crate) save_cache: Option<PathBuf>,
}

/// What a run computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Generate,
    HiddenLayer,
    Logits,
}

/// Who gets the results of a run.
pub(crate) trait Sink {
    /// One call of the callback; `rows` has one entry per row of the batch, or none.
    fn deliver(&mut self, state: LLMCallState, rows: &[Row<'_>], perf: Perf) -> Verdict;
}

/// What the callback answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Continue,
    Pause,
}

/// One row of a result.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row<'a> {
    pub(crate) token_id: i32,
    pub(crate) text: Option<&'a [u8]>,
    pub(crate) hidden: Option<Matrix<'a>>,
    pub(crate) logits: Option<Matrix<'a>>,
}

/// Rows of numbers, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) width: usize,
}

/// An answer that is being played; outlives the run if the callback pauses it.
#[derive(Debug)]
pub(crate) struct Answer {
    rows: Vec<Script>,
    perf: Perf,
    limit: Option<u32>,
    mode: Mode,
    keep_history: bool,
    save_cache: Option<PathBuf>,
}

/// How playing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Aborted,
    Paused,
    Failed,
}

impl Session {
    /// Runs to the end on the calling thread. A second run waits for the first.
    pub(crate) fn run(&self, request: &Request, sink: &mut dyn Sink) -> Result<(), Failed> {
        let mut state = self.lock();
        if !self.faults.sticky_abort {
            self.abort.store(false, Ordering::SeqCst);
        }
        self.running.store(true, Ordering::SeqCst);
        let result = self.answer(&mut state, request, sink);
        self.running.store(false, Ordering::SeqCst);
        self.settle(&mut state);
        result
    }

    fn answer(
        &self,
        state: &mut State,
        request: &Request,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let mut pace = Pace::start();
        if let Some(answer) = state.paused.take() {
            return self.play(state, answer, &mut pace, sink);
        }
        self.check(state, request)?;
        let prompts = match self.encode(state, request) {
            Ok(prompts) => prompts,
            Err(Failed) => return fail(sink),
        };
        if prompts
            .iter()
            .any(|prompt| self.is_overlong(prompt.ids.len()))
        {
            // Boards have shown both ends.
            return if self.faults.silent_overlong {
                Ok(())
            } else {
                fail(sink)
            };
        }
        if request.mode == Mode::HiddenLayer {
            return self.hidden_layer(state, &prompts, &mut pace, sink);
        }
        let mut answer = Answer {
            rows: Vec::new(),
            perf: Perf {
                memory_mb: self.model.header.memory_mb,
                ..Perf::default()
            },
            limit: Settings::answer_limit(request.max_new_tokens)
                .or(Settings::answer_limit(self.settings.max_new_tokens)),
            mode: request.mode,
            keep_history: request.keep_history,
            save_cache: request.save_cache.clone(),
        };
        let embedded = request.inputs.iter().any(Input::is_embedding);
        let reuse = !(self.faults.no_reuse || embedded && self.abi == Abi::V1_2_0);
        let sampling = request.sampling.unwrap_or(self.settings.sampling);
        for (row, prompt) in prompts.iter().enumerate() {
            let Ok(past) = self.place(state, row, prompt, request.keep_history, reuse) else {
                return fail(sink);
            };
            // What the model says is decided before the clock runs for it, so that deciding costs no board time.
            let script = self.script(state, row, sampling);
            answer.rows.push(script);
            let new = state.kv.get(row).map_or(0, |kv| kv.tokens.len()) - past;
            answer.perf.prefill_ms += self.read_prompt(state, &mut pace, new, past);
            answer.perf.prefill_tokens += new as u32;
        }
        self.publish_cache_sizes(state);
        self.play(state, answer, &mut pace, sink)
    }

    /// What the real library checks before it reads the input.
    fn check(&self, state: &State, request: &Request) -> Result<(), Failed> {
        let refuse = |text: String| {
            self.console.error(text);
            Err(Failed)
        };
        let refuses_all = self.faults.abort_poisons == Some(Poisoned::All);
        if state.poisoned && (request.keep_history || refuses_all) {
            return refuse("rkllm_run failed".to_owned());
        }
        if let Some(name) = request
            .lora
            .as_ref()
            .filter(|name| !state.loras.contains(name))
        {
            return refuse(format!("Not Found Lora adapter named: {name}"));
        }
        let tokens = request
            .inputs
            .iter()
            .any(|input| matches!(input, Input::Tokens(_)));
        if request.mode == Mode::Logits && tokens && request.keep_history && self.abi == Abi::V1_2_1
        {
            self.console.line(format_args!(
                "GGML_ASSERT: logits of token input with history"
            ));
            std::process::abort();
        }
        self.console.detail(
            2,
            format_args!("keep_history status: {}", i32::from(request.keep_history)),
        );
        Ok(())
    }

    fn script(&self, state: &State, row: usize, sampling: Sampling) -> Script {
        let context = state.kv.get(row).map_or(&[][..], |kv| kv.tokens.as_slice());
        let text = script::compose(self, context, sampling);
        let end = (!self.faults.endless).then_some(self.last_word);
        Script::new(&self.vocabulary, &text, end)
    }

    /// Occupies the NPU. The board time it took, which a hot chip and slow memory lengthen.
    fn work(&self, state: &mut State, pace: &mut Pace, ms: f64, memory_factor: f64) -> f64 {
        let heat = self
            .faults
            .thermal
            .filter(|_| state.worked_ms >= HEATING_MS)
            .unwrap_or(1.0);
        let ms = ms * heat * memory_factor;
        state.worked_ms += ms;
        self.npu.work(pace, ms);
        ms
    }

    fn play(
        &self,
        state: &mut State,
        mut answer: Answer,
        pace: &mut Pace,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let end = self.decode(state, &mut answer, pace, sink);
        match end {
            End::Paused => {
                state.paused = Some(answer);
                return Ok(());
            }
            End::Failed => return fail(sink),
            End::Done => self.console.detail(1, "rkllm_run ended"),
            End::Aborted => {
                self.console.detail(1, "rkllm_run was aborted");
                state.poisoned |= self.faults.abort_poisons.is_some();
                if self.faults.abort_forgets {
                    state
                        .kv
                        .iter_mut()
                        .for_each(|kv| kv.truncate(kv.tokens.len() / 2));
                }
            }
        }
        if let (Some(path), Some(kv)) = (&answer.save_cache, state.kv.first()) {
            self.save_cache(path, kv);
        }
        self.print_table(state, answer.perf);
        let _ = sink.deliver(LLMCallState::FINISH, &[], answer.perf);
        Ok(())
    }

    /// A cache that cannot be saved does not fail the run.
    fn save_cache(&self, path: &Path, kv: &Kv) {
        if self.faults.no_prompt_cache {
            self.console
                .warn("The qwen35 model does not support saving prompt cache!");
            return;
        }
        match prompt_cache::save(path, self.model.owner(), kv) {
            Ok(size) => {
                self.npu.pass(timing::file_ms(size, self.faults.cold_load));
                self.console
                    .info(format_args!("saved prompt cache to {}", path.display()));
            }
            Err(error) => self.console.error(format_args!(
                "failed to save prompt cache to {}: {error}",
                path.display()
            )),
        }
    }

    fn print_table(&self, state: &mut State, perf: Perf) {
        let init = if std::mem::replace(&mut state.had_a_run, true) {
            None
        } else {
            Some(self.load_ms)
        };
        let (cached, system) = state
            .kv
            .first()
            .map_or((0, 0), |kv| (kv.tokens.len(), kv.system));
        perf.print(self.console, init, cached, system);
    }
}

/// A run that fails tells so twice: in the callback and by its return value.
fn fail(sink: &mut dyn Sink) -> Result<(), Failed> {
    let _ = sink.deliver(LLMCallState::ERROR, &[], Perf::default());
    Err(Failed)
}
