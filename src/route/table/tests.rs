use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::route::host::HostPattern;
use crate::route::methods::Methods;
use crate::upstream::Upstream;

const AMBIGUOUS: NoRoute<'static> = NoRoute::Refused(PathError::Ambiguous);
/// Of the two routes for `GET` and `POST`.
const OTHER_METHODS: NoRoute<'static> = NoRoute::OtherMethods("GET, HEAD, POST");

/// `METHODS AUTH HOST/PATH`, as in `GET,PUT none *.a.b/x` or `- required /`.
fn route(text: &str) -> Route {
    let [methods, auth, place] = text.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    let (host, path) = place.split_at(place.find('/').unwrap());
    let auth = match auth {
        "required" => AccessRule::Required,
        "optional" => AccessRule::Optional,
        _ => AccessRule::None,
    };
    let mut route = Route::new(path.into(), auth, Arc::new(Upstream::for_tests("u")));
    route.hosts = if host.is_empty() {
        HostPattern::Any
    } else {
        HostPattern::parse(host).unwrap()
    };
    route.methods = Methods(
        methods
            .split(',')
            .filter(|method| *method != "-")
            .map(str::to_owned)
            .collect(),
    );
    route
}

/// `METHOD HOST/PATH`; the host may be left out, and `-` stands for a method that is not known.
fn request(text: &str) -> (Option<&str>, Option<&str>, &str) {
    let (method, place) = text.split_once(' ').unwrap();
    let (host, path) = place.split_at(place.find('/').unwrap());
    let known = |text| Some(text).filter(|text| !["", "-"].contains(text));
    (known(host), known(method), path)
}

/// Each request leads to what is expected of it.
fn finds(table: &RouteTable, cases: &[(&str, Result<usize, NoRoute<'_>>)]) {
    for (text, expected) in cases {
        let (host, method, path) = request(text);
        assert_eq!(table.find(host, method.unwrap(), path), *expected, "{text}");
    }
}

/// The same of who may not know the host or the method.
fn asks_for(table: &RouteTable, cases: &[(&str, Result<AccessRule, NoRoute<'_>>)]) {
    for (text, expected) in cases {
        let (host, method, path) = request(text);
        assert_eq!(table.strictest(host, method, path), *expected, "{text}");
    }
}

fn routes(texts: &[impl AsRef<str>]) -> RouteTable {
    RouteTable::new(texts.iter().map(|text| route(text.as_ref())).collect()).unwrap()
}

#[test]
fn whole_segments_and_the_longest_wins() {
    let t = routes(&["- required /api", "- required /api/orders", "- required /"]);
    let cases = [
        ("GET /api", Ok(0)),
        ("GET /api/", Ok(0)),
        ("GET /api/x", Ok(0)),
        ("GET /apix", Ok(2)),
        ("GET /api/orders", Ok(1)),
        ("GET /api/orders/1", Ok(1)),
        ("GET /api/ordersX", Ok(0)),
        ("GET /", Ok(2)),
        ("GET /x;v=1/y", Ok(2)),
    ];
    finds(&t, &cases);
    let unknown = Err(NoRoute::Unknown);
    let cases = [("GET /other", unknown), ("GET /", unknown)];
    finds(&routes(&["- required /api"]), &cases);
}

#[test]
fn another_reading_never_reaches_a_more_special_route() {
    let t = routes(&["- required /", "- required /api", "- required /Files"]);
    for path in [
        "/api;x/y",
        "/API/x",
        "/Api",
        "/api%3Bx/y",
        "/aPi;a=b",
        "/;/api/x",
        "/;a=b/api/x",
        "/%3B/api",
        "/;x/;y/api",
        "/files/a",
        "/FILES",
        "/fileſ/x",
        "/api.",
        "/api./x",
        "/api%20",
        "/api::$DATA",
        "/%2561pi/x",
        "/api%3Fx",
        "/api%23",
    ] {
        assert_eq!(t.find(None, "GET", path), Err(AMBIGUOUS), "{path}");
    }
    let cases = [("GET /Files/A;v=1", Ok(2)), ("GET /api/x;v=1/Y", Ok(1))];
    finds(&t, &cases);
}

#[test]
fn path_then_host_choose_and_the_method_only_after_them() {
    let t = routes(&[
        "- none /",
        "GET required a.b/api",
        "POST none a.b/api",
        "- none /api",
        "- optional *.b/api/x",
        "DELETE none /only",
    ]);
    let cases = [
        ("GET a.b/api", Ok(1)),
        ("HEAD a.b/api", Ok(1)),
        ("POST a.b/api/y", Ok(2)),
        // Neither the route for any host nor the one above takes what these two do not serve.
        ("PUT a.b/api", Err(OTHER_METHODS)),
        ("OPTIONS a.b/api", Err(OTHER_METHODS)),
        ("PUT x.b/api", Ok(3)),
        ("PUT /api", Ok(3)),
        ("PUT a.b/api/x/1", Ok(4)),
        ("PUT b/api/x/1", Ok(3)),
        ("GET a.b/only/x", Err(NoRoute::OtherMethods("DELETE"))),
        ("GET a.b/", Ok(0)),
    ];
    finds(&t, &cases);
    assert!(t.chose_by_method(1) && t.chose_by_method(5) && !t.chose_by_method(3));
}

#[test]
fn another_reading_is_refused_where_the_host_has_the_more_special_place() {
    let t = routes(&["- none /", "POST required a.b/api"]);
    let cases = [
        ("GET a.b/API", Err(AMBIGUOUS)),
        ("POST a.b/api;x/y", Err(AMBIGUOUS)),
        ("POST c.d/api;x/y", Ok(0)),
        ("POST /API", Ok(0)),
    ];
    finds(&t, &cases);
}

#[test]
fn who_does_not_know_host_or_method_gets_the_strictest_rule() {
    let t = routes(&[
        "- none /",
        "- required a.b/api",
        "GET none /api",
        "POST optional /api",
        "- none /api/pub",
        "PUT optional /all",
        "- none /all",
    ]);
    let cases = [
        ("GET /x", Ok(AccessRule::None)),
        ("GET /api", Ok(AccessRule::Required)),
        ("GET c.d/api", Ok(AccessRule::None)),
        ("PUT c.d/api", Err(OTHER_METHODS)),
        // It may be PUT.
        ("- c.d/api", Err(OTHER_METHODS)),
        ("- c.d/all", Ok(AccessRule::Optional)),
        ("- a.b/api", Ok(AccessRule::Required)),
        ("- /api/pub/1", Ok(AccessRule::None)),
        ("- /API", Err(AMBIGUOUS)),
    ];
    asks_for(&t, &cases);
    let t = routes(&["- none a.b/api"]);
    let cases = [
        ("- a.b/api", Ok(AccessRule::None)),
        ("- c.d/api", Err(NoRoute::Unknown)),
        ("- /api", Ok(AccessRule::Required)),
    ];
    asks_for(&t, &cases);
}

/// Rails, ThinkPHP, Struts and Spring MVC up to 5.2 serve all of these with what is behind
/// `/public/secret`.
#[test]
fn a_suffix_never_leads_past_a_stricter_rule() {
    let t = routes(&[
        "- none /",
        "- none /public",
        "- required /public/secret",
        "- none /public/secret.css",
        "GET none /public/news",
        "POST required /public/news",
        "GET none /public/page",
        "- optional /maybe",
        "- required a.b/only",
    ]);
    let cases = [
        ("GET /public/secret.json", Err(AMBIGUOUS)),
        ("POST /public/secret.json/", Err(AMBIGUOUS)),
        ("GET /public/secret.tar.gz", Err(AMBIGUOUS)),
        ("GET /public/secret..html", Err(AMBIGUOUS)),
        ("GET /public/Secret.DO", Err(AMBIGUOUS)),
        ("GET /public/secret.do;x=y", Err(AMBIGUOUS)),
        ("GET /public/secret%20.action", Err(AMBIGUOUS)),
        ("GET /public/secret.css.json", Err(AMBIGUOUS)),
        ("GET /maybe.json", Err(AMBIGUOUS)),
        // A header or a form may make a POST of it.
        ("GET /public/news.json", Err(AMBIGUOUS)),
        // 405 there.
        ("POST /public/page.html", Err(AMBIGUOUS)),
        ("GET a.b/only.json", Err(AMBIGUOUS)),
        ("GET c.d/only.json", Ok(0)),
        ("GET /public/page.html", Ok(1)),
        // What has a route of its own is meant so.
        ("GET /public/secret.css", Ok(3)),
        ("GET /public/secret.css/x.map", Ok(3)),
        // Only the last name has a suffix.
        ("GET /public/secret.d/x", Ok(1)),
        ("GET /public/.secret", Ok(1)),
        ("GET /public/secret/x.json", Ok(2)),
        ("GET /public/secrets.json", Ok(1)),
        ("GET /public/x.json", Ok(1)),
        ("GET /x.json", Ok(0)),
    ];
    finds(&t, &cases);
    let cases = [
        ("GET c.d/public/secret.json", Err(AMBIGUOUS)),
        ("- /only.json", Err(AMBIGUOUS)),
        ("- c.d/only.json", Ok(AccessRule::None)),
        ("- /public/secret.css", Ok(AccessRule::None)),
    ];
    asks_for(&t, &cases);
}

#[test]
fn a_suffix_beside_the_same_rule_is_a_name_like_others() {
    let t = routes(&[
        "- required /",
        "- required /app",
        "- none /open",
        "- none /open/app",
        "- optional /maybe",
        "- none /maybe/app",
    ]);
    let cases = [
        ("GET /app.js", Ok(0)),
        ("GET /open/app.js", Ok(2)),
        ("GET /maybe/app.js", Ok(4)),
        ("GET /open.json", Ok(0)),
    ];
    finds(&t, &cases);
}

/// One host has a route for the file, another has not.
#[test]
fn the_file_of_another_host_opens_nothing_to_who_does_not_say_the_host() {
    let t = routes(&["- none /", "- required /admin", "- none a.b/admin.css"]);
    let cases = [
        ("- a.b/admin.css", Ok(AccessRule::None)),
        ("- /admin.css", Err(AMBIGUOUS)),
    ];
    asks_for(&t, &cases);
}

/// One host has a route for the other spelling, another has not.
#[test]
fn the_spelling_of_another_host_opens_nothing_to_who_does_not_say_the_host() {
    let t = routes(&["- none a.b/API", "- required /api", "- none /"]);
    finds(&t, &[("GET c.d/API", Err(AMBIGUOUS))]);
    let cases = [
        ("- a.b/API", Ok(AccessRule::None)),
        ("- /API", Err(AMBIGUOUS)),
    ];
    asks_for(&t, &cases);
}

#[test]
fn two_routes_for_the_same_requests_are_a_conflict() {
    for (one, other) in [
        ("- none /a", "- required /a"),
        ("GET none *.a.b/a", "PUT,GET none *.A.b./a"),
    ] {
        let conflict = RouteTable::new(vec![route(one), route(other)]).unwrap_err();
        assert_eq!(conflict.name, route(other).name());
    }
    for (one, other) in [
        ("- none /a", "GET none /a"),
        ("GET none /a", "PUT none /a"),
        ("- none a.b/a", "- none *.b/a"),
        ("- none *.b/a", "- none /a"),
    ] {
        assert!(
            RouteTable::new(vec![route(one), route(other)]).is_ok(),
            "{one} {other}"
        );
    }
}

#[test]
fn a_thousand_routes_are_found_as_one_is() {
    for count in [1, 1000] {
        let texts: Vec<String> = (0..count)
            .flat_map(|n| {
                [
                    format!("GET none h{n}.a.b/"),
                    format!("- none *.w{n}.b/x"),
                    format!("- none /p/{n}/q"),
                ]
            })
            .collect();
        let table = routes(&texts);
        let started = crate::clock::monotonic_now();
        for _ in 0..1000 {
            assert_eq!(table.find(Some("h0.a.b"), "GET", "/y/z"), Ok(0));
            assert_eq!(table.find(Some("a.w0.b"), "PUT", "/x/y"), Ok(1));
            assert_eq!(table.find(Some("other"), "PUT", "/p/0/q/r"), Ok(2));
        }
        println!(
            "{} routes: {:?} a lookup",
            count * 3,
            (crate::clock::monotonic_now() - started) / 3000
        );
    }
}

/// Matches by looking at every route.
fn naive<'a>(
    all: &'a [Route],
    host: Option<&str>,
    method: &str,
    path: &str,
) -> Result<&'a Route, bool> {
    let under = |p: &str| p == "/" || crate::route::below(path, p).is_some();
    let special = |route: &Route| {
        (
            route.path.len(),
            matches!(route.hosts, HostPattern::Exact(_)),
            route.hosts.to_string().len(),
        )
    };
    let matching: Vec<_> = all
        .iter()
        .filter(|route| under(&route.path) && route.hosts.matches(host))
        .collect();
    let best = matching
        .iter()
        .map(|route| special(route))
        .max()
        .ok_or(false)?;
    let place: Vec<_> = matching
        .into_iter()
        .filter(|route| special(route) == best)
        .collect();
    let names = |route: &Route, method: &str| route.methods.0.iter().any(|own| own == method);
    let by = |wanted: &dyn Fn(&Route) -> bool| place.iter().find(|route| wanted(route)).copied();
    by(&|r| names(r, method))
        .or_else(|| by(&|r| method == "HEAD" && names(r, "GET")))
        .or_else(|| by(&|r| r.methods.is_all()))
        .ok_or(true)
}

fn without_conflicts(texts: &[String]) -> Vec<Route> {
    let mut kept: Vec<Route> = Vec::new();
    for candidate in texts.iter().map(|text| route(text)) {
        if !kept
            .iter()
            .any(|earlier| earlier.conflicts_with(&candidate))
        {
            kept.push(candidate);
        }
    }
    kept
}

/// The stricter, the smaller: never, with a session, without one.
fn strictness(answer: &Result<AccessRule, NoRoute<'_>>) -> u8 {
    match answer {
        Err(NoRoute::Refused(_) | NoRoute::OtherMethods(_)) => 0,
        Err(NoRoute::Unknown) | Ok(AccessRule::Required) => 1,
        Ok(AccessRule::Optional) => 2,
        Ok(AccessRule::None) => 3,
    }
}

proptest! {
    #[test]
    fn agrees_with_a_naive_matcher(
        texts in prop::collection::vec("(-|GET|PUT|GET,PUT|HEAD) none ((\\*\\.)?[ab](\\.[ab])?)?((/[ab]{1,2}){1,3}|/)", 1..12),
        host in prop::option::of("[ab](\\.[ab]){0,2}"),
        method in "GET|PUT|HEAD|OPTIONS",
        path in "(/[ab]{0,2}){1,4}",
    ) {
        let kept = without_conflicts(&texts);
        if let Ok(path) = crate::route::canonical(&path) {
            let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { &path };
            let table = RouteTable::new(kept.clone()).unwrap();
            let expected = naive(&kept, host.as_deref(), &method, trimmed);
            match table.find(host.as_deref(), &method, &path) {
                Ok(index) => prop_assert_eq!(expected.map(Route::name), Ok(kept[index].name())),
                Err(NoRoute::OtherMethods(allow)) => {
                    prop_assert!(!allow.is_empty() && expected.is_err_and(|other_methods| other_methods));
                }
                Err(error) => prop_assert!(error == NoRoute::Unknown && expected.is_err_and(|other_methods| !other_methods)),
            }
        }
    }

    #[test]
    fn what_is_let_in_is_let_in_without_its_suffix(
        texts in prop::collection::vec("(-|GET|PUT|GET,PUT) (none|optional|required) ((\\*\\.)?[ab])?(/|(/[ab](\\.[ab])?){1,2})", 1..12),
        host in prop::option::of("[ab](\\.[ab])?"),
        method in "GET|PUT|POST",
        path in "(/[ab]){0,2}/[aAb](;x)?(\\.[ab;]|%2[eE][ab]){0,2}/?",
    ) {
        let kept = without_conflicts(&texts);
        let table = RouteTable::new(kept.clone()).unwrap();
        let path = crate::route::canonical(&path).unwrap();
        let plain = path.to_lowercase();
        let written = plain.split(';').next().unwrap().trim_end_matches('/');
        let stems = written.match_indices('.').map(|(dot, _)| &written[..dot]);
        if let Ok(index) = table.find(host.as_deref(), &method, &path) {
            let found = &kept[index];
            for stem in stems {
                let is_stricter = |there: &Route| there.path.len() > found.path.len() && !found.access.covers(&there.access);
                for method in ["GET", "PUT", "POST"] {
                    prop_assert!(!naive(&kept, host.as_deref(), method, stem).is_ok_and(is_stricter), "{} by {}", path, found.name());
                }
            }
        }
    }

    /// A question without the host or the method gets the strictest of the answers to all complete
    /// questions.
    #[test]
    fn who_knows_less_gets_no_weaker_answer(
        texts in prop::collection::vec("(-|GET|PUT|GET,PUT|HEAD) (none|optional|required) ((\\*\\.)?[ab](\\.[ab])?)?(/|(/[abA](\\.[ab])?){1,2})", 1..8),
        path in "(/[abA]){0,1}/[aAb](;x)?(\\.[ab;]|%2[eE][ab]){0,2}/?",
    ) {
        let kept = without_conflicts(&texts);
        let table = RouteTable::new(kept.clone()).unwrap();
        let path = crate::route::canonical(&path).unwrap();
        let names = kept.iter().map(|route| route.hosts.to_string()).filter(|hosts| !hosts.is_empty());
        let mut hosts: Vec<String> = names.map(|hosts| hosts.replace('*', "other")).collect();
        hosts.push("stranger".to_owned());
        let methods = ["GET", "HEAD", "PUT", "OTHER"];
        let ask = |host: Option<&str>, method: Option<&str>| strictness(&table.strictest(host, method, &path));
        for host in hosts.iter().map(|host| Some(&**host)) {
            for method in methods {
                let known = table.find(host, method, &path).map(|index| kept[index].access.clone());
                prop_assert_eq!(ask(host, Some(method)), strictness(&known), "{:?} {} {}", host, method, path);
            }
            let strictest = methods.iter().map(|method| ask(host, Some(method))).min();
            prop_assert_eq!(Some(ask(host, None)), strictest, "{:?} {}", host, path);
        }
        for method in methods.into_iter().map(Some).chain([None]) {
            let strictest = hosts.iter().map(|host| ask(Some(host), method)).min();
            prop_assert_eq!(Some(ask(None, method)), strictest, "{:?} {}", method, path);
        }
    }
}

#[test]
fn the_strictest_of_all_counts_what_no_route_takes() {
    for (texts, strictest) in [
        (&[][..], AccessRule::Required),
        (&["- none /public"], AccessRule::Required),
        (&["- none /", "- required /api"], AccessRule::Required),
        (&["- none /", "- optional /api"], AccessRule::Optional),
        (&["- none /"], AccessRule::None),
        (&["- none a.test/"], AccessRule::Required),
        (&["GET none /"], AccessRule::Required),
    ] {
        assert_eq!(routes(texts).strictest_of_all(), strictest, "{texts:?}");
    }
}
