{{/* Names and labels. A suffix is never cut: what stands before it is. */}}

{{- define "modelarts.chart" -}}
{{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "modelarts.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "modelarts.fullname" -}}
{{- $name := include "modelarts.name" . -}}
{{- $long := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{ .Values.fullnameOverride | default $long | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* (list $ "metrics") gives "<fullname>-metrics" in at most 63 characters. */}}
{{- define "modelarts.part" -}}
{{- $suffix := last . -}}
{{ include "modelarts.fullname" (first .) | trunc (int (sub 62 (len $suffix))) | trimSuffix "-" }}-{{ $suffix }}
{{- end }}

{{- define "modelarts.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "modelarts.fullname" .) }}
{{- end }}

{{/* Those that a selector may use: they never change. */}}
{{- define "modelarts.selector" -}}
app.kubernetes.io/name: {{ include "modelarts.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "modelarts.labels" -}}
{{ include "modelarts.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ include "modelarts.chart" . }}
{{- end }}

{{/* The subject of every binding. */}}
{{- define "modelarts.subjects" -}}
- kind: ServiceAccount
  name: {{ include "modelarts.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
