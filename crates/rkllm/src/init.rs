//! `rkllm_init` for each generation.

use std::{
    ffi::{CString, c_int},
    os::unix::ffi::OsStrExt,
    ptr,
};

use crate::{
    abi::{LLMHandle, SymbolTable, v1_2_0, v1_2_1, v1_3_0},
    callback,
    model::Model,
    options::{LoadError, ModelOptions, Sampling},
};

/// What the library may read until the model is destroyed.
#[derive(Debug)]
pub(crate) struct Kept {
    path: CString,
    pub(crate) image_start: CString,
    pub(crate) image_end: CString,
    pub(crate) image_content: CString,
    /// Runtime 1.3.0 takes its callbacks by pointer.
    callbacks: Box<v1_3_0::RKLLMCallback>,
}

impl Kept {
    fn of(options: &ModelOptions) -> Result<Self, LoadError> {
        let tag = |text: &str| CString::new(text).map_err(|_| LoadError::Nul("an image tag"));
        Ok(Self {
            path: CString::new(options.path.as_os_str().as_bytes())
                .map_err(|_| LoadError::Nul("the path of a model"))?,
            image_start: tag(&options.image_tags.start)?,
            image_end: tag(&options.image_tags.end)?,
            image_content: tag(&options.image_tags.content)?,
            callbacks: Box::new(v1_3_0::RKLLMCallback {
                result_callback: Some(callback::v1_2_1),
                result_userdata: ptr::null_mut(),
                tokenizer_callback: None,
                tokenizer_userdata: ptr::null_mut(),
                embed_callback: None,
                embed_userdata: ptr::null_mut(),
            }),
        })
    }
}

/// What `rkllm_init` made.
struct Made {
    code: c_int,
    handle: LLMHandle,
    sampling: Sampling,
}

pub(crate) fn load(symbols: SymbolTable, options: &ModelOptions) -> Result<Model, LoadError> {
    options.check()?;
    let capabilities = symbols.abi().capabilities();
    symbols.abi().require(
        capabilities.ignore_eos_token || !options.ignore_eos_token,
        "ignore end tokens",
    )?;
    let mut kept = Kept::of(options)?;
    let made = match symbols {
        SymbolTable::V1_2_0(symbols) => init_1_2_0(&symbols, options, &kept),
        SymbolTable::V1_2_1(symbols) => init_1_2_1(&symbols, options, &kept),
        SymbolTable::V1_3_0(symbols) => init_1_3_0(&symbols, options, &mut kept),
    };
    let path = || options.path.clone();
    match made {
        Made { code, .. } if code != 0 => Err(LoadError::Failed { path: path(), code }),
        // Old runtimes reported success after a failed load.
        Made { handle, .. } if handle.is_null() => Err(LoadError::NoHandle { path: path() }),
        Made {
            handle, sampling, ..
        } => Ok(Model::new(symbols, handle, kept, sampling)),
    }
}

/// Changes the runtime's defaults to `options`, for the fields that every generation has.
macro_rules! apply {
    ($options:ident, $kept:ident, $param:ident) => {
        $param.model_path = $kept.path.as_ptr();
        $param.max_context_len = $options.max_context_len;
        $param.max_new_tokens = $options.max_new_tokens;
        if let Some(sampling) = $options.sampling {
            $param.top_k = sampling.top_k;
            $param.top_p = sampling.top_p;
            $param.temperature = sampling.temperature;
            $param.repeat_penalty = sampling.repeat_penalty;
            $param.frequency_penalty = sampling.frequency_penalty;
            $param.presence_penalty = sampling.presence_penalty;
            $param.mirostat = sampling.mirostat;
            $param.mirostat_tau = sampling.mirostat_tau;
            $param.mirostat_eta = sampling.mirostat_eta;
        }
        if let Some(n_keep) = $options.n_keep {
            $param.n_keep = n_keep;
        }
        $param.skip_special_token = $options.skip_special_token.into();
        // A run that returns at once loses its callbacks up to 1.2.1.
        $param.is_async = false.into();
        $param.extend_param.base_domain_id = $options.base_domain_id;
        $param.extend_param.embed_flash = $options.embed_flash.into();
        if let Some(mask) = $options.enabled_cpus_mask {
            $param.extend_param.enabled_cpus_mask = mask;
            // At most 8 bits are set, as `ModelOptions::check` has seen to.
            $param.extend_param.enabled_cpus_num = mask.count_ones() as i8;
        }
    };
}

/// The sampling that a filled parameter struct asks for.
macro_rules! sampling_of {
    ($param:ident) => {
        Sampling {
            top_k: $param.top_k,
            top_p: $param.top_p,
            temperature: $param.temperature,
            repeat_penalty: $param.repeat_penalty,
            frequency_penalty: $param.frequency_penalty,
            presence_penalty: $param.presence_penalty,
            mirostat: $param.mirostat,
            mirostat_tau: $param.mirostat_tau,
            mirostat_eta: $param.mirostat_eta,
        }
    };
}

fn init_1_2_0(symbols: &v1_2_0::Symbols, options: &ModelOptions, kept: &Kept) -> Made {
    // SAFETY: takes nothing; the struct it returns is this generation's.
    let mut param = unsafe { (symbols.rkllm_createDefaultParam)() };
    apply!(options, kept, param);
    param.img_start = kept.image_start.as_ptr();
    param.img_end = kept.image_end.as_ptr();
    param.img_content = kept.image_content.as_ptr();
    let mut handle = ptr::null_mut();
    // SAFETY: the pointers live through the call, those to strings until the model is destroyed.
    let code = unsafe { (symbols.rkllm_init)(&mut handle, &mut param, Some(callback::v1_2_0)) };
    Made {
        code,
        handle,
        sampling: sampling_of!(param),
    }
}

fn init_1_2_1(symbols: &v1_2_1::Symbols, options: &ModelOptions, kept: &Kept) -> Made {
    // SAFETY: takes nothing; the struct it returns is this generation's.
    let mut param = unsafe { (symbols.rkllm_createDefaultParam)() };
    apply!(options, kept, param);
    param.img_start = kept.image_start.as_ptr();
    param.img_end = kept.image_end.as_ptr();
    param.img_content = kept.image_content.as_ptr();
    // A run has one input; with a larger batch the library would read an array of them.
    param.extend_param.n_batch = 1;
    let mut handle = ptr::null_mut();
    // SAFETY: the pointers live through the call, those to strings until the model is destroyed.
    let code = unsafe { (symbols.rkllm_init)(&mut handle, &mut param, Some(callback::v1_2_1)) };
    Made {
        code,
        handle,
        sampling: sampling_of!(param),
    }
}

fn init_1_3_0(symbols: &v1_3_0::Symbols, options: &ModelOptions, kept: &mut Kept) -> Made {
    // SAFETY: takes nothing; the struct it returns is this generation's.
    let mut param = unsafe { (symbols.rkllm_createDefaultParam)() };
    apply!(options, kept, param);
    param.ignore_eos_token = options.ignore_eos_token.into();
    // A run has one input; with a larger batch the library would read an array of them.
    param.extend_param.n_batch = 1;
    let mut handle = ptr::null_mut();
    let callbacks: *mut v1_3_0::RKLLMCallback = &mut *kept.callbacks;
    // SAFETY: the pointers live through the call, those to strings and callbacks until the model is destroyed.
    let code = unsafe { (symbols.rkllm_init)(&mut handle, &mut param, callbacks) };
    Made {
        code,
        handle,
        sampling: sampling_of!(param),
    }
}
