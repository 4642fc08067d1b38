//! The set of shipped models.

use std::fmt::Write as _;

use super::tokenizer::Vocabulary;

/// One shipped model.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// Name of the folder and of the model file in it, without `.rkllm`.
    pub file_stem: &'static str,
    /// The id that the manifest gives it, where the file name would give a wrong one.
    pub id: Option<&'static str>,
    /// Most tokens of context (`max_context` at conversion).
    pub context: u32,
    /// The Jinja template of its conversations.
    pub chat_template: &'static str,
    pub(crate) vocabulary: Vocabulary,
    name: &'static str,
    family: &'static str,
    /// Parameters as people write them, where the file name does not say so.
    size: Option<&'static str>,
    vision: bool,
    thinking: bool,
    /// Tokens that end an answer, the one that the model says first.
    eos: &'static [&'static str],
    embedding: u32,
    /// Benchmark row: model and parameters.
    row: (&'static str, &'static str),
    /// Bytes of the converted file, near those of real conversions: a byte per weight and a half-precision embedding.
    size_bytes: u64,
    /// Peak memory with a short context, in megabytes, from the benchmark row.
    weights_mb: u32,
    /// Bytes of keys and values per token: 2 * layers * heads * width * 2 bytes.
    kv_bytes: u32,
    note: &'static str,
}

const QWEN3_TEMPLATE: &str = include_str!("../../assets/templates/qwen3.jinja");
const QWEN3_VL_TEMPLATE: &str = include_str!("../../assets/templates/qwen3-vl.jinja");
const GEMMA_TEMPLATE: &str = include_str!("../../assets/templates/gemma.jinja");
const PHI3_TEMPLATE: &str = include_str!("../../assets/templates/phi3.jinja");
const MINICPM4_TEMPLATE: &str = include_str!("../../assets/templates/minicpm4.jinja");

const QWEN3: Vocabulary = Vocabulary {
    special: &[
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|vision_pad|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ],
    visible: &[
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "</tool_response>",
        "<think>",
        "</think>",
    ],
    bos: None,
    eos: "<|im_end|>",
    pad: "<|endoftext|>",
    end: None,
};
/// Qwen3's embedding models are trained to read a text up to this token, whose hidden state is the embedding.
const QWEN3_EMBEDDING: Vocabulary = Vocabulary {
    end: Some("<|endoftext|>"),
    ..QWEN3
};
const GEMMA: Vocabulary = Vocabulary {
    special: &[
        "<pad>",
        "<eos>",
        "<bos>",
        "<start_of_turn>",
        "<end_of_turn>",
        "<start_of_image>",
        "<end_of_image>",
    ],
    visible: &[],
    bos: Some("<bos>"),
    eos: "<eos>",
    pad: "<pad>",
    end: None,
};
const PHI3: Vocabulary = Vocabulary {
    special: &[
        "<s>",
        "<|endoftext|>",
        "<|assistant|>",
        "<|system|>",
        "<|user|>",
        "<|end|>",
    ],
    visible: &[],
    bos: Some("<s>"),
    eos: "<|endoftext|>",
    pad: "<|endoftext|>",
    end: None,
};
const MINICPM4: Vocabulary = Vocabulary {
    special: &["<s>", "</s>", "<|im_start|>", "<|im_end|>"],
    visible: &[],
    bos: Some("<s>"),
    eos: "<|im_end|>",
    pad: "</s>",
    end: None,
};

/// The longest context that a converter bakes in.
const LONGEST: u32 = 16_384;

/// The 1.7B model of the Qwen3 family as it is commonly converted: with the converter's default of 4096 tokens. The
/// others of the family differ in size, and have the longest context.
const QWEN3_1_7B: Shipped = Shipped {
    file_stem: "Qwen3-1.7B-rk3588-w8a8",
    id: None,
    context: 4_096,
    chat_template: QWEN3_TEMPLATE,
    vocabulary: QWEN3,
    name: "Qwen3-1.7B",
    family: "qwen3",
    size: None,
    vision: false,
    thinking: true,
    eos: &["<|im_end|>", "<|endoftext|>"],
    embedding: 2048,
    row: ("Qwen2.5", "1.5B"),
    size_bytes: 2_370_000_000,
    weights_mb: 1875,
    kv_bytes: 114_688,
    note: "The benchmark has no row of this model. Qwen2.5 1.5B is the nearest: its prefill fits measurements of \
           Qwen3-1.7B (15 tokens in 95 ms), its decoding is a fifth faster than the 13.6 tokens/s measured.",
};

/// The models that [`install`](super::install) writes.
pub const MODELS: &[Shipped] = &[
    Shipped {
        file_stem: "Qwen3-0.6B-rk3588-w8a8",
        name: "Qwen3-0.6B",
        context: LONGEST,
        embedding: 1024,
        row: ("Qwen3", "0.6B"),
        size_bytes: 940_000_000,
        weights_mb: 791,
        note: "",
        ..QWEN3_1_7B
    },
    QWEN3_1_7B,
    Shipped {
        file_stem: "Qwen3-1.7B-rk3588-w8a8-ctx16384",
        id: Some("qwen3-1.7b-16k"),
        context: LONGEST,
        name: "Qwen3-1.7B (16k)",
        ..QWEN3_1_7B
    },
    Shipped {
        file_stem: "Qwen3-4B-rk3588-w8a8",
        name: "Qwen3-4B",
        context: LONGEST,
        embedding: 2560,
        row: ("MiniCPM3", "4B"),
        size_bytes: 4_800_000_000,
        weights_mb: 4340,
        kv_bytes: 147_456,
        note: "The benchmark has no row of this model. MiniCPM3 4B is the nearest in size.",
        ..QWEN3_1_7B
    },
    Shipped {
        file_stem: "MiniCPM4-0.5B-rk3588-w8a8",
        context: LONGEST,
        chat_template: MINICPM4_TEMPLATE,
        vocabulary: MINICPM4,
        name: "MiniCPM4-0.5B",
        family: "minicpm",
        thinking: false,
        eos: &["<|im_end|>", "</s>"],
        embedding: 1024,
        row: ("MiniCPM4", "0.5B"),
        size_bytes: 640_000_000,
        weights_mb: 535,
        kv_bytes: 24_576,
        note: "",
        ..QWEN3_1_7B
    },
    Shipped {
        file_stem: "Gemma-3-4B-rk3588-w8a8",
        context: LONGEST,
        chat_template: GEMMA_TEMPLATE,
        vocabulary: GEMMA,
        name: "Gemma-3-4B",
        family: "gemma",
        thinking: false,
        eos: &["<end_of_turn>", "<eos>"],
        embedding: 2560,
        row: ("MiniCPM3", "4B"),
        size_bytes: 5_200_000_000,
        weights_mb: 4340,
        kv_bytes: 139_264,
        note: "The benchmark has no row of this model. MiniCPM3 4B is the nearest in size.",
        ..QWEN3_1_7B
    },
    Shipped {
        file_stem: "Phi-3-mini-4k-rk3588-w8a8",
        id: Some("phi-3-mini"),
        context: 4_096,
        chat_template: PHI3_TEMPLATE,
        vocabulary: PHI3,
        name: "Phi-3-mini-4k",
        family: "phi3",
        size: Some("3.8B"),
        thinking: false,
        eos: &["<|end|>", "<|endoftext|>"],
        embedding: 3072,
        row: ("Phi3", "3.8B"),
        size_bytes: 4_000_000_000,
        weights_mb: 3748,
        // Sixteen-bit keys and values of all 32 heads.
        kv_bytes: 393_216,
        note: "",
        ..QWEN3_1_7B
    },
    Shipped {
        file_stem: "Qwen3-VL-2B-rk3588-w8a8",
        context: LONGEST,
        chat_template: QWEN3_VL_TEMPLATE,
        name: "Qwen3-VL-2B",
        family: "qwen3-vl",
        vision: true,
        thinking: false,
        row: ("Qwen3-VL", "2B"),
        weights_mb: 1892,
        note: "The language model alone; a board runs the image encoder beside it with another library.",
        ..QWEN3_1_7B
    },
    Shipped {
        file_stem: "Gemma-3n-E2B-rk3588-w8a8",
        context: LONGEST,
        chat_template: GEMMA_TEMPLATE,
        vocabulary: GEMMA,
        name: "Gemma-3n-E2B",
        family: "gemma",
        thinking: false,
        eos: &["<end_of_turn>", "<eos>"],
        row: ("Gemma3n", "2B"),
        size_bytes: 5_400_000_000,
        weights_mb: 2709,
        kv_bytes: 61_440,
        note: "",
        ..QWEN3_1_7B
    },
    Shipped {
        file_stem: "Qwen3-Embedding-0.6B-rk3588-w8a8",
        context: 4_096,
        vocabulary: QWEN3_EMBEDDING,
        name: "Qwen3-Embedding-0.6B",
        thinking: false,
        embedding: 1024,
        row: ("Qwen3", "0.6B"),
        size_bytes: 940_000_000,
        weights_mb: 791,
        note: "The benchmark has no row of this model. Qwen3 0.6B is the same network, trained for something else.",
        ..QWEN3_1_7B
    },
];

/// The oldest toolkit whose files every simulated runtime loads.
const TOOLKIT: &str = "1.2.0";

impl Shipped {
    /// The text of the model file.
    pub(crate) fn file(&self) -> String {
        let mut text = String::from("# rkllm-sim model\n");
        if !self.note.is_empty() {
            let _ = writeln!(text, "# {}", self.note);
        }
        let memory =
            f64::from(self.weights_mb) + f64::from(self.kv_bytes) * f64::from(self.context) / 1e6;
        let (model, params) = self.row;
        let _ = write!(
            text,
            "name = {name:?}\n\
             family = {family:?}\n\
             platform = \"RK3588\"\n\
             dtype = \"w8a8\"\n\
             toolkit = \"{TOOLKIT}\"\n\
             max_context = {context}\n\
             npu_core_num = 3\n\
             embd_size = {embedding}\n\
             tokenizer = \"tokenizer.json\"\n\
             eos = {eos:?}\n\
             size_bytes = {size_bytes}\n\
             # A short context's peak and the keys and values of the whole context.\n\
             memory_mb = {memory:.1}\n\
             kv_bytes = {kv_bytes}\n\
             benchmark = {{ model = {model:?}, params = {params:?}, dtype = \"w8a8\" }}\n\
             # end\n",
            name = self.name,
            family = self.family,
            context = self.context,
            embedding = self.embedding,
            eos = self.eos,
            size_bytes = self.size_bytes,
            kv_bytes = self.kv_bytes,
        );
        text
    }

    /// The text of `model.toml`.
    pub(crate) fn manifest(&self) -> String {
        let mut text = String::from("# What the file name does not say.\n");
        let name = self.id.map(|_| self.name);
        for (key, value) in [("id", self.id), ("name", name), ("size", self.size)] {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {value:?}");
            }
        }
        let _ = writeln!(
            text,
            "context = {}\nvision = {}\nthinking = {}\neos = {:?}",
            self.context, self.vision, self.thinking, self.eos
        );
        text
    }
}
