{{/* The namespaces that the controller works in, as JSON: an empty list is all of them. */}}

{{- define "modelarts.namespaces" -}}
{{- if eq .Values.rbac.scope "release" -}}
{{ list .Release.Namespace | toJson }}
{{- else if eq .Values.rbac.scope "namespaces" -}}
{{ .Values.rbac.namespaces | uniq | sortAlpha | toJson }}
{{- else -}}
[]
{{- end -}}
{{- end }}

{{/* Not empty once the API server knows the kind of the sources, see sources.yaml. */}}
{{- define "modelarts.kindIsKnown" -}}
{{- if .Capabilities.APIVersions.Has "modelarts.huaweicloud.com/v1alpha1/ModelArtsPoolSource" }}known{{ end -}}
{{- end }}
