//! Which methods a route is for.

/// A route's methods, in capitals; none: all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Methods(pub Vec<String>);

impl Methods {
    /// Whether it is for every method.
    pub const fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a method is named. Case does not count: a backend that takes `post` for `POST` would
    /// otherwise serve by another route's rule what this one protects.
    pub fn names_it(&self, method: &str) -> bool {
        self.0.iter().any(|own| own.eq_ignore_ascii_case(method))
    }

    /// A method that both name; where both are for all, there is no need to name one.
    pub fn overlap(&self, other: &Self) -> bool {
        if self.is_all() || other.is_all() {
            self.is_all() && other.is_all()
        } else {
            self.0.iter().any(|method| other.names_it(method))
        }
    }
}

/// Where a method goes among routes that differ in nothing but their methods: to the one that names
/// it; `HEAD`, which backends answer as they answer `GET`, to the one that names `GET`; else to the
/// one for all.
pub fn pick<'a>(
    method: &str,
    routes: &(impl Iterator<Item = (usize, &'a Methods)> + Clone),
) -> Option<usize> {
    let naming = |method: &str| {
        routes
            .clone()
            .find(|(_, methods)| methods.names_it(method))
            .map(|(index, _)| index)
    };
    let as_get = || {
        if method.eq_ignore_ascii_case("HEAD") {
            naming("GET")
        } else {
            None
        }
    };
    naming(method).or_else(as_get).or_else(|| {
        routes
            .clone()
            .find(|(_, methods)| methods.is_all())
            .map(|(index, _)| index)
    })
}

/// The value of `Allow` for these routes.
pub fn allow<'a>(routes: impl Iterator<Item = &'a Methods>) -> String {
    let mut names: Vec<&str> = routes
        .flat_map(|methods| methods.0.iter().map(String::as_str))
        .collect();
    if names.contains(&"GET") && !names.contains(&"HEAD") {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(names: &[&str]) -> Methods {
        Methods(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_method_goes_to_the_route_that_names_it() {
        let all = [methods(&["GET"]), methods(&[]), methods(&["POST", "PUT"])];
        let to = |method| pick(method, &all.iter().enumerate());
        for (method, route) in [
            ("GET", Some(0)),
            ("HEAD", Some(0)),
            ("get", Some(0)),
            ("head", Some(0)),
            ("POST", Some(2)),
            ("pUt", Some(2)),
            ("OPTIONS", Some(1)),
        ] {
            assert_eq!(to(method), route, "{method}");
        }
        let head = [methods(&["GET"]), methods(&["HEAD"])];
        assert_eq!(pick("HEAD", &head.iter().enumerate()), Some(1));
        assert_eq!(pick("OPTIONS", &head.iter().enumerate()), None);
        assert_eq!(allow(all.iter()), "GET, HEAD, POST, PUT");
    }

    #[test]
    fn two_routes_overlap_where_neither_is_the_more_special() {
        assert!(
            methods(&[]).overlap(&methods(&[]))
                && methods(&["GET", "PUT"]).overlap(&methods(&["PUT"]))
        );
        assert!(
            !methods(&[]).overlap(&methods(&["GET"]))
                && !methods(&["GET"]).overlap(&methods(&["POST", "HEAD"]))
        );
    }
}
