# From the Prometheus operator's CustomResourceDefinitions to a List of them without what a person reads.
def bare: walk(if type == "object" then with_entries(select(.key != "description" or (.value | type) != "string")) else . end);

map(bare | .spec.versions |= map(del(.subresources, .schema.openAPIV3Schema.properties.status)))
| "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n\(map(tojson) | join(",\n"))\n]}"
