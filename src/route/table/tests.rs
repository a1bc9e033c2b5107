use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::route::host::HostPattern;
use crate::route::methods::Methods;
use crate::route::{Fact, RequiredValue, Requirement, Requirements};
use crate::session::Claims;
use crate::upstream::Upstream;

const AMBIGUOUS: NoRoute<'static> = NoRoute::Refused(PathError::Ambiguous);
/// Of the two routes for `GET` and `POST`.
const OTHER_METHODS: NoRoute<'static> = NoRoute::OtherMethods("GET, HEAD, POST");

/// `none`, `optional`, `required`, or what is required too: `x=a`, `x=a|b`, `x=a&y=b`.
fn rule(text: &str) -> AccessRule {
    let values = |texts: &str| {
        let texts = texts.split('|');
        texts.map(|text| RequiredValue::Text(text.into())).collect()
    };
    let one = |text: &str| {
        let (name, texts) = text.split_once('=').unwrap();
        Requirement::new(Fact::Claim(name.into()), values(texts)).unwrap()
    };
    match text {
        "none" => AccessRule::None,
        "optional" => AccessRule::Optional,
        "required" => AccessRule::SESSION,
        all => AccessRule::Required(Requirements::new(all.split('&').map(one))),
    }
}

/// `METHODS AUTH HOST/PATH`, as in `GET,PUT none *.a.b/x` or `- required /`.
fn route(text: &str) -> Route {
    let [methods, auth, place] = text.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    let (host, path) = place.split_at(place.find('/').unwrap());
    let upstream = Arc::new(Upstream::for_tests("u"));
    let mut route = Route::new(path.into(), rule(auth), upstream);
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
        ("GET /api", Ok(AccessRule::SESSION)),
        ("GET c.d/api", Ok(AccessRule::None)),
        ("PUT c.d/api", Err(OTHER_METHODS)),
        // It may be PUT.
        ("- c.d/api", Err(OTHER_METHODS)),
        ("- c.d/all", Ok(AccessRule::Optional)),
        ("- a.b/api", Ok(AccessRule::SESSION)),
        ("- /api/pub/1", Ok(AccessRule::None)),
        ("- /API", Err(AMBIGUOUS)),
    ];
    asks_for(&t, &cases);
    let t = routes(&["- none a.b/api"]);
    let cases = [
        ("- a.b/api", Ok(AccessRule::None)),
        ("- c.d/api", Err(NoRoute::Unknown)),
        ("- /api", Ok(AccessRule::SESSION)),
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

/// Who asks at `/auth/verify` about such a path would be told that a session is enough.
#[test]
fn a_path_of_no_route_never_leads_past_a_rule_that_asks_for_more_than_a_session() {
    let spellings = [
        "/api/staff.json",
        "/api/staff.tar.gz/",
        "/api/Staff",
        "/API/STAFF/1",
        "/api/staff;x=1",
        "/api/staff;x/1",
        "/api;x/staff",
        "/api/staff%20",
        "/api./staff",
        "/api/staff.",
        "/api/STAFF.do",
    ];
    let alone = ["- x=a /api/staff"];
    let of_a_method = ["- required /api/x", "POST x=a /api/staff"];
    let with_others = ["- none /open", "- x=a /api/staff", "- required /shop"];
    for texts in [&alone[..], &of_a_method, &with_others] {
        let t = routes(texts);
        for path in spellings {
            assert_eq!(
                t.find(None, "GET", path),
                Err(AMBIGUOUS),
                "{texts:?} {path}"
            );
            for method in [None, Some("GET"), Some("POST")] {
                let answer = t.strictest(None, method, path);
                assert_eq!(answer, Err(AMBIGUOUS), "{texts:?} {method:?} {path}");
            }
        }
        for path in [
            "/api",
            "/api/staffs",
            "/api/staffs.json",
            "/other.json",
            "/Other",
        ] {
            assert_eq!(
                t.find(None, "GET", path),
                Err(NoRoute::Unknown),
                "{texts:?} {path}"
            );
        }
    }
    // The host decides as for other paths.
    let t = routes(&["- x=a a.b/api/staff"]);
    let cases = [
        ("GET a.b/api/Staff", Err(AMBIGUOUS)),
        ("GET /api/Staff", Err(AMBIGUOUS)),
        ("GET c.d/api/Staff", Err(NoRoute::Unknown)),
    ];
    asks_for(&t, &cases);
    // A session is all that these ask for.
    let t = routes(&["- required /api/staff", "- none /open"]);
    for path in ["/api/staff.json", "/API/staff", "/OPEN", "/open.html"] {
        assert_eq!(t.find(None, "GET", path), Err(NoRoute::Unknown), "{path}");
        assert_eq!(
            t.strictest(None, None, path),
            Err(NoRoute::Unknown),
            "{path}"
        );
    }
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

/// Whom an answer lets in, a bit for each: nobody in particular, and a session without claims, with
/// `x` = "a", with "b", with both, and with both and `y` = "a". The first bit is for routes that do
/// not even look for a session.
fn lets_in(answer: &Result<AccessRule, NoRoute<'_>>) -> u8 {
    static CLAIMS: LazyLock<[Claims; 5]> = LazyLock::new(|| {
        [
            "{}",
            r#"{"x":"a"}"#,
            r#"{"x":"b"}"#,
            r#"{"x":["a","b"]}"#,
            r#"{"x":["a","b"],"y":"a"}"#,
        ]
        .map(|json| serde_json::from_str(json).unwrap())
    });
    let sessions = |requirements: &Requirements| {
        let bits = CLAIMS.iter().enumerate();
        bits.fold(0, |all, (at, claims)| {
            all | u8::from(requirements.hold("shop", claims)) << at
        })
    };
    match answer {
        Err(NoRoute::Refused(_) | NoRoute::OtherMethods(_)) => 0,
        Err(NoRoute::Unknown) => sessions(&Requirements::NONE),
        Ok(AccessRule::Required(requirements)) => sessions(requirements),
        Ok(AccessRule::Optional) => 0b0111_1111,
        Ok(AccessRule::None) => 0b1111_1111,
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
        texts in prop::collection::vec("(-|GET|PUT|GET,PUT) (none|optional|required|x=a|x=b|x=a\\|b|x=a&y=a) ((\\*\\.)?[ab])?(/|(/[ab](\\.[ab])?){1,2})", 1..12),
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
                let known = |route: &Route| lets_in(&Ok(route.access.clone()));
                let is_stricter = |there: &Route| there.path.len() > found.path.len() && known(found) & !known(there) != 0;
                for method in ["GET", "PUT", "POST"] {
                    prop_assert!(!naive(&kept, host.as_deref(), method, stem).is_ok_and(is_stricter), "{} by {}", path, found.name());
                }
            }
        }
    }

    /// A question without the host or the method lets in whom all complete questions let in.
    #[test]
    fn who_knows_less_gets_no_weaker_answer(
        texts in prop::collection::vec("(-|GET|PUT|GET,PUT|HEAD) (none|optional|required|x=a|x=b|x=a\\|b|x=a&y=a) ((\\*\\.)?[ab](\\.[ab])?)?(/|(/[abA](\\.[ab])?){1,2})", 1..8),
        path in "(/[abA]){0,1}/[aAb](;x)?(\\.[ab;]|%2[eE][ab]){0,2}/?",
    ) {
        let kept = without_conflicts(&texts);
        let table = RouteTable::new(kept.clone()).unwrap();
        let path = crate::route::canonical(&path).unwrap();
        let names = kept.iter().map(|route| route.hosts.to_string()).filter(|hosts| !hosts.is_empty());
        let mut hosts: Vec<String> = names.map(|hosts| hosts.replace('*', "other")).collect();
        hosts.push("stranger".to_owned());
        let methods = ["GET", "HEAD", "PUT", "OTHER"];
        let ask = |host: Option<&str>, method: Option<&str>| lets_in(&table.strictest(host, method, &path));
        for host in hosts.iter().map(|host| Some(&**host)) {
            for method in methods {
                let known = table.find(host, method, &path).map(|index| kept[index].access.clone());
                prop_assert_eq!(ask(host, Some(method)), lets_in(&known), "{:?} {} {}", host, method, path);
            }
            let all = methods.iter().fold(u8::MAX, |all, method| all & ask(host, Some(method)));
            prop_assert_eq!(ask(host, None), all, "{:?} {}", host, path);
        }
        for method in methods.into_iter().map(Some).chain([None]) {
            let all = hosts.iter().fold(u8::MAX, |all, host| all & ask(Some(host), method));
            prop_assert_eq!(ask(None, method), all, "{:?} {}", method, path);
        }
    }
}

/// Every table of up to three routes, and every question that leaves out the host, the method or
/// both: who asks is let in if the gateway would let them in whatever the host and the method are.
#[test]
fn every_small_table_lets_in_whom_all_complete_questions_let_in() {
    const HOSTS: [&str; 2] = ["a.b", "c.d"];
    const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];
    const PATHS: [&str; 4] = ["/x", "/x.json", "/X", "/y"];
    let places = [
        "- /",
        "GET /",
        "- a.b/",
        "GET a.b/",
        "- /x",
        "GET /x",
        "- a.b/x",
        "GET a.b/x",
    ];
    let rules = ["none", "required", "x=a", "x=b"];
    let routes: Vec<Vec<Route>> = places
        .iter()
        .map(|place| {
            let (methods, place) = place.split_once(' ').unwrap();
            let with = |rule: &&str| route(&format!("{methods} {rule} {place}"));
            rules.iter().map(with).collect()
        })
        .collect();
    let mut tables = vec![vec![]];
    for place in &routes {
        let with_one_more: Vec<Vec<&Route>> = tables
            .iter()
            .filter(|table: &&Vec<&Route>| table.len() < 3)
            .flat_map(|table| place.iter().map(|route| [&table[..], &[route]].concat()))
            .collect();
        tables.extend(with_one_more);
    }
    assert_eq!(tables.len(), 1 + 8 * 4 + 28 * 16 + 56 * 64);
    for routes in tables {
        let table = RouteTable::new(routes.iter().copied().cloned().collect()).unwrap();
        let mut of_all = u8::MAX;
        for path in PATHS {
            let complete = HOSTS.map(|host| {
                METHODS.map(|method| {
                    let found = table.find(Some(host), method, path);
                    lets_in(&found.map(|index| routes[index].access.clone()))
                })
            });
            for (host, of_host) in [None, Some(0), Some(1)].map(|host| (host, &complete)) {
                for method in [None, Some(0), Some(1), Some(2)] {
                    let hosts = of_host.iter().enumerate();
                    let methods = hosts
                        .filter(|(at, _)| host.is_none_or(|host| host == *at))
                        .flat_map(|(_, methods)| methods.iter().enumerate());
                    let expected = methods
                        .filter(|(at, _)| method.is_none_or(|method| method == *at))
                        .fold(u8::MAX, |all, (_, one)| all & one);
                    let asked = (host.map(|at| HOSTS[at]), method.map(|at| METHODS[at]));
                    let answer = table.strictest(asked.0, asked.1, path);
                    assert_eq!(lets_in(&answer), expected, "{asked:?} {path} {routes:?}");
                }
            }
            // Refusals cannot be asked about without a path.
            for one in complete.iter().flatten().filter(|one| **one != 0) {
                of_all &= one;
            }
        }
        let together = lets_in(&Ok(table.strictest_of_all().clone()));
        assert_eq!(together & !of_all, 0, "{together:b} {of_all:b}");
    }
}

#[test]
fn with_requirements_nothing_is_let_past_that_is_not_provably_as_strict() {
    let t = routes(&[
        "- x=a /",
        "- x=b /page",
        "- x=a|b /wide",
        "- x=a&y=a /narrow",
        "- x=a /same",
        "- required /plain",
        "- none /open",
        "- x=a /open/staff",
        "GET x=a /two",
        "POST x=b /two",
    ]);
    let refused = |path: &'static str| t.find(None, "GET", path) == Err(AMBIGUOUS);
    // Neither of two values is the stricter one.
    assert!(refused("/page.json") && refused("/narrow.json") && refused("/open/staff.json"));
    assert!(!refused("/wide.json") && !refused("/same.json") && !refused("/plain.json"));
    // The rules of all methods count.
    assert!(refused("/two.json"));
    let cases = [
        ("GET /two", Ok(rule("x=a"))),
        ("HEAD /two", Ok(rule("x=a"))),
        // It may be PUT.
        ("- /two", Err(OTHER_METHODS)),
        ("- /narrow", Ok(rule("x=a&y=a"))),
    ];
    asks_for(&t, &cases);
    let t = routes(&["- x=a /", "- x=b a.b/", "- y=a /api", "- x=a|b a.b/api"]);
    let cases = [
        ("GET /", Ok(rule("x=a&x=b"))),
        ("GET a.b/", Ok(rule("x=b"))),
        ("GET /api", Ok(rule("y=a&x=a|b"))),
    ];
    asks_for(&t, &cases);
}

#[test]
fn without_a_path_all_rules_count_and_a_session_for_what_no_route_takes() {
    for (texts, all) in [
        (&[][..], "required"),
        (&["- none /public"], "required"),
        (&["- none /", "- required /api"], "required"),
        (&["- none /", "- optional /api"], "optional"),
        (&["- none /"], "none"),
        (&["- none a.test/"], "required"),
        (&["GET none /"], "required"),
        (&["- x=a /api"], "x=a"),
        (&["- none /", "- x=a /api"], "x=a"),
        (
            &["- none /api", "- x=a /api/x", "- x=b|c /api/y"],
            "x=a&x=b|c",
        ),
        (&["- x=a /", "- x=a|b /api"], "x=a"),
    ] {
        assert_eq!(*routes(texts).strictest_of_all(), rule(all), "{texts:?}");
    }
}
