use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

#[test]
fn the_document_has_every_route_and_no_other() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert((method.clone(), path.clone()));
            let open = operation.get("security").is_some();
            let route = ROUTES.iter().find(|route| route.path == path).unwrap_or_else(|| panic!("{path} is no route"));
            assert_eq!(open, route.access == Access::Anyone, "{path}");
        }
    }
    let routes: BTreeSet<(String, String)> =
        ROUTES.iter().map(|route| (format!("{:?}", route.method).to_lowercase(), route.path.to_owned())).collect();
    assert_eq!(described, routes);
}

#[test]
fn a_counter_is_told_as_its_rate() {
    let unit = |name: &str| {
        let known = catalogue::find(name).unwrap();
        told_in(name, known.kind, known.unit).word()
    };
    assert_eq!(unit("network.receive.bytes"), "bytes/s");
    assert_eq!(unit("network.receive.rate"), "bytes/s");
    assert_eq!(unit("cpu.used"), "ratio");
}
