//! Runs the Lua in `deploy/gitops/argocd` as Argo CD does: Lua 5.1 with the basic functions and
//! `table`, an `os` of only `date` and `time` that `require` gives, and the object as `obj`.

use std::path::PathBuf;

use k8s_openapi::jiff::Timestamp;
use mlua::serde::ser::Options as SerializeOptions;
use mlua::{Lua, LuaOptions, LuaSerdeExt as _, StdLib};
use serde_json::Value;

use super::cluster::repository;

/// Where Argo CD's own layout has the scripts and tests of one of our kinds.
pub fn directory(kind: &str) -> PathBuf {
    repository("deploy/gitops/argocd/resource_customizations/modelarts.huaweicloud.com").join(kind)
}

/// What Argo CD shows of an object: health and message.
pub fn health(object: &Value) -> Value {
    run("health.lua", object)
}

/// The actions that Argo CD offers for an object, by name.
pub fn actions(object: &Value) -> Value {
    run("actions/discovery.lua", object)
}

/// The object as an action leaves it.
pub fn act(object: &Value, action: &str) -> Value {
    run(&format!("actions/{action}/action.lua"), object)
}

fn run(script: &str, object: &Value) -> Value {
    let script = directory(object["kind"].as_str().unwrap()).join(script);
    let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default()).unwrap();
    let globals = lua.globals();
    // A null is a field that is not there.
    let options = SerializeOptions::new()
        .serialize_none_to_null(false)
        .serialize_unit_to_null(false);
    globals
        .set("obj", lua.to_value_with(object, options).unwrap())
        .unwrap();
    let os = lua.create_table().unwrap();
    let time = lua.create_function(|_, ()| Ok(Timestamp::now().as_second()));
    os.set("time", time.unwrap()).unwrap();
    let date = lua.create_function(|_, format: String| {
        let format = format.strip_prefix('!').expect("a date in UTC");
        Ok(Timestamp::now().strftime(format).to_string())
    });
    os.set("date", date.unwrap()).unwrap();
    let require = lua.create_function(move |_, module: String| {
        assert_eq!(module, "os", "Argo CD has no other module");
        Ok(os.clone())
    });
    globals.set("require", require.unwrap()).unwrap();
    let said = lua.load(script.as_path()).eval::<mlua::Value>();
    let said = said.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    lua.from_value(said).unwrap()
}
