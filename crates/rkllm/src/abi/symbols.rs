//! One declaration per exported function gives the table's field and the name it is looked up by.

/// A function that the library should export and does not.
#[derive(Debug, thiserror::Error)]
#[error("the library does not export {name}: {source}")]
pub struct MissingSymbol {
    /// Name of the function.
    pub name: &'static str,
    /// What the dynamic loader said.
    pub source: libloading::Error,
}

macro_rules! symbols {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $ret:ty;)*) => {
        /// Every exported function of this generation.
        #[derive(Debug, Clone, Copy)]
        #[allow(non_snake_case, reason = "the names of the C header")]
        pub struct Symbols {
            $($(#[$doc])* pub $name: unsafe extern "C" fn($($arg: $type),*) -> $ret,)*
        }

        impl Symbols {
            /// The exported names, in the order of the fields.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// Looks up every function.
            ///
            /// # Errors
            /// The first function that `library` does not export.
            ///
            /// # Safety
            /// `library` must be a librkllmrt.so of this generation, and must stay loaded as long as any function
            /// of the table may be called.
            pub unsafe fn resolve(library: &libloading::Library) -> Result<Self, $crate::abi::MissingSymbol> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the caller vouches that the library is of this generation, so the symbol is a
                        // function of exactly this type.
                        let symbol = unsafe {
                            library.get::<unsafe extern "C" fn($($arg: $type),*) -> $ret>(stringify!($name))
                        };
                        *symbol.map_err(|source| $crate::abi::MissingSymbol { name: stringify!($name), source })?
                    },)*
                })
            }
        }
    };
}
