{{/* Labels by which the series of this shop's pods are known, whoever scrapes them. */}}
{{- define "recommender.series" -}}
namespace="{{ .Release.Namespace }}",pod=~"{{ include "recommender.podPattern" . }}"
{{- end -}}

{{/* The names of this shop's pods, as a regular expression. A name that had to be cut keeps at least this beginning. */}}
{{- define "recommender.podPattern" -}}
{{- $name := include "recommender.fullname" . -}}
{{- if gt (len $name) 29 }}{{ $name | trunc 29 }}.+{{ else }}{{ $name }}-.+{{ end -}}
{{- end -}}
