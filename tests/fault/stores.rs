//! The kinds of store, on each of which the same tests run.

/// What the store is kept on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Makes of each function that takes a kind of store a test for each kind, of the same name.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$test(crate::stores::Kind::Sqlite);
            })+
        }

        mod postgres {
            $(#[test]
            fn $test() {
                super::$test(crate::stores::Kind::Postgres);
            })+
        }
    };
}

pub(crate) use on_both;
