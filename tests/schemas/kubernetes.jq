# From the OpenAPI document of a Kubernetes release to JSON schemas of the kinds that the chart renders:
# what these reach, without what a person reads, and with unknown fields refused.

def kinds: [
    "ConfigMap", "Namespace", "Service", "ServiceAccount", "Deployment", "NetworkPolicy", "PodDisruptionBudget",
    "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "CustomResourceDefinition"
];

def is_root:
    (."x-kubernetes-group-version-kind" // [])
    | length == 1 and (.[0].kind | IN(kinds[])) and (.[0].version == "v1");

def references: [.. | objects | ."$ref" | strings | ltrimstr("#/definitions/")] | unique;

def reached($all; $seen): . as $next
    | if $next == [] then $seen
      else ([$next[] | $all[.] | references[]] | unique) - $seen - $next | reached($all; $seen + $next) end;

# A property may itself be called `description` or `x-kubernetes-validations`: that one has a schema.
def is_schema: type == "object" and . != {};

def bare: walk(
    if type != "object" then .
    else with_entries(select((.value | is_schema)
            or (.key | (IN("description", "format", "default") or startswith("x-kubernetes-")) | not)))
        | if .type == "object" and (.properties | type) == "object" then .additionalProperties //= false else . end
    end);

# One line for each entry, so that a difference can be read.
def lines: to_entries | map("\(.key | tojson): \(.value | tojson)") | join(",\n");

.definitions as $all
| [$all | to_entries[] | select(.value | is_root) | .key] as $roots
| ($all | with_entries(if .key | IN($roots[]) then .value.properties |= del(.status) else . end)) as $all
| ($roots | map({key: ($all[.]."x-kubernetes-group-version-kind"[0] | .group + "/" + .kind), value: .})) as $kinds
| ($roots | reached($all; []) | map({key: ., value: ($all[.] | bare)}) | from_entries
    | ."io.k8s.apimachinery.pkg.util.intstr.IntOrString" = {type: ["integer", "string"]}
    | ."io.k8s.apimachinery.pkg.api.resource.Quantity" = {type: ["number", "string"]}) as $definitions
| "{\"kinds\": {\n\($kinds | from_entries | lines)\n}, \"definitions\": {\n\($definitions | lines)\n}}"
