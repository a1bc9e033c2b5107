//! The tree of modules, and where a path in one of them leads.

use std::collections::BTreeMap;

use super::names::{Import, code, names};

/// The names of a module and of all those around it, from the outermost; the crate has none.
pub(super) type Place = Vec<String>;

/// Imports of imports of imports: so many and no more.
const DEPTH: u32 = 16;

#[derive(Debug, Default)]
pub(super) struct Tree {
    modules: BTreeMap<Place, Module>,
}

#[derive(Debug)]
struct Module {
    imports: Vec<Import>,
    paths: Vec<Vec<String>>,
    code: String,
}

/// Where a path leads: to a module, or to an item in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    module: Place,
    is_item: bool,
}

impl Tree {
    /// From files with their paths below `src`.
    pub(super) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut modules = BTreeMap::new();
        for (path, text) in files {
            let place: Place = path
                .trim_end_matches(".rs")
                .split('/')
                .filter(|name| !["mod", "lib"].contains(name))
                .map(str::to_owned)
                .collect();
            if place.last().is_some_and(|name| name == "tests") {
                continue;
            }
            let code = code(text);
            let (imports, paths) = names(&code);
            let module = Module {
                imports,
                paths,
                code,
            };
            modules.insert(place, module);
        }
        Self { modules }
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.modules.keys()
    }

    /// The modules that this one names.
    pub(super) fn named_by(&self, place: &Place) -> Vec<Place> {
        let module = &self.modules[place];
        let imports = module.imports.iter().map(|import| &import.path);
        imports
            .chain(&module.paths)
            .filter_map(|path| self.resolve(place, path, DEPTH))
            .map(|target| target.module)
            .collect()
    }

    fn resolve(&self, from: &Place, path: &[String], depth: u32) -> Option<Target> {
        if depth == 0 {
            return None;
        }
        let (mut here, mut rest) = (from.clone(), path);
        match path.first()?.as_str() {
            "crate" => (here, rest) = (Place::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    here.pop()?;
                    rest = &rest[1..];
                }
            }
            // Another crate, or something of this file.
            first if !self.has(from, first) => return None,
            _ => {}
        }
        for name in rest {
            let mut inner = here.clone();
            inner.push(name.clone());
            if self.modules.contains_key(&inner) {
                here = inner;
                continue;
            }
            match self.imported(&here, name, depth - 1) {
                Some(target) if !target.is_item => here = target.module,
                Some(target) => return Some(target),
                None => {
                    return Some(Target {
                        module: here,
                        is_item: true,
                    });
                }
            }
        }
        Some(Target {
            module: here,
            is_item: false,
        })
    }

    /// Whether a name that stands alone in this module is a module inside it, or imported.
    fn has(&self, place: &Place, name: &str) -> bool {
        let mut inner = place.clone();
        inner.push(name.to_owned());
        self.modules.contains_key(&inner)
            || self.modules[place].imports.iter().any(|i| i.name == name)
    }

    fn imported(&self, place: &Place, name: &str, depth: u32) -> Option<Target> {
        let imports = &self.modules.get(place)?.imports;
        if let Some(import) = imports.iter().find(|import| import.name == name) {
            return self.resolve(place, &import.path, depth);
        }
        let globs = imports.iter().filter(|import| import.name == "*");
        globs
            .filter_map(|import| self.resolve(place, &import.path, depth))
            .find(|target| self.defines(&target.module, name))
            .map(|target| Target {
                is_item: true,
                ..target
            })
    }

    fn defines(&self, place: &Place, name: &str) -> bool {
        let code = self.modules.get(place).map_or("", |module| &module.code);
        ["struct", "enum", "trait", "type", "fn", "const", "static"]
            .iter()
            .any(|kind| code.contains(&format!("{kind} {name}")))
    }
}
