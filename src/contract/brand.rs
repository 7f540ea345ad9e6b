//! The brands that the vendor sells one product under.
//!
//! They differ in the prefix of their headers and in one word of prose. A further brand is one line in the list below.

use std::fmt;

macro_rules! brands {
    (own $own:ident = $own_name:literal, $own_slug:literal; $($(#[$doc:meta])* $variant:ident = $name:literal, $slug:literal;)+) => {
        /// Who sent a request: it decides the prefix of the headers and nothing else.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Brand {
            $($(#[$doc])* $variant,)+
            /// None of the vendor's: what workhook itself has to say. No request from outside is of this brand.
            $own,
        }

        impl Brand {
            /// Every brand of the vendor, in the order in which documents name them.
            pub const ALL: &[Brand] = &[$(Brand::$variant,)+];

            /// The brand as the vendor spells it; the value of its `Type` header.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Brand::$variant => $name,)+ Brand::$own => $own_name } }

            /// The brand in lower case, as configuration, commands and the store write it.
            #[must_use]
            pub const fn slug(self) -> &'static str { match self { $(Brand::$variant => $slug,)+ Brand::$own => $own_slug } }

            /// What the names of the brand's headers begin with, in lower case.
            #[must_use]
            pub const fn header_prefix(self) -> &'static str {
                match self {
                    $(Brand::$variant => concat!("x-", $slug, "-"),)+
                    Brand::$own => concat!("x-", $own_slug, "-"),
                }
            }
        }
    };
}

brands! {
    own Workhook = "workhook", "workhook";
    /// Leiga (contract, section 1).
    Leiga = "Leiga", "leiga";
    /// WorkZappy (contract, section 1).
    WorkZappy = "WorkZappy", "workzappy";
}

impl Brand {
    /// The brand of the vendor with this slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Brand> {
        Brand::ALL.iter().copied().find(|brand| brand.slug() == slug)
    }

    /// The brand that an event was stored with: one of the vendor's, or our own.
    #[must_use]
    pub fn from_stored(slug: &str) -> Option<Brand> {
        Brand::from_slug(slug).or_else(|| (slug == Brand::Workhook.slug()).then_some(Brand::Workhook))
    }

    /// The name of one of the brand's headers as the vendor spells it, for example `X-Leiga-Retry-Num`.
    #[must_use]
    pub fn header(self, field: &str) -> String {
        format!("X-{}-{field}", self.name())
    }
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_the_name_in_lower_case_and_leads_back() {
        for &brand in Brand::ALL {
            assert_eq!(brand.slug(), brand.name().to_ascii_lowercase());
            assert_eq!(Brand::from_slug(brand.slug()), Some(brand));
            assert_eq!(brand.header("Event").to_ascii_lowercase(), format!("{}event", brand.header_prefix()));
        }
        assert_eq!(Brand::from_slug("Leiga"), None);
        assert_eq!((Brand::from_slug("workhook"), Brand::from_stored("workhook")), (None, Some(Brand::Workhook)));
    }
}
