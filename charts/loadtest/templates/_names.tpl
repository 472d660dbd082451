{{/*
Names. Every object is called <fullname>-<suffix>; a base that does not fit a DNS label beside it is cut and gets a digest
of the whole, so that two long names never become one. Call with (dict "root" $ "suffix" "master").
*/}}
{{- define "loadtest.name" -}}
{{- $base := .root.Values.fullnameOverride | default .root.Release.Name -}}
{{- $suffix := ternary (printf "-%s" .suffix) "" (ne .suffix "") -}}
{{- /* A Job's pods are called after it, with an index and five letters; so 63 are too many. */ -}}
{{- $room := int (sub 52 (len $suffix)) -}}
{{- if gt (len $base) $room -}}
{{- $base = printf "%s-%s" ($base | trunc (int (sub $room 9)) | trimSuffix "-") ($base | sha256sum | trunc 8) -}}
{{- end -}}
{{- printf "%s%s" $base $suffix -}}
{{- end -}}

{{/* A Job cannot be changed: each revision of the Helm release is a run of its own. Call as above. */}}
{{- define "loadtest.runName" -}}
{{- include "loadtest.name" (dict "root" .root "suffix" (printf "%s-%d" .suffix .root.Release.Revision)) -}}
{{- end -}}

{{/* In the namespace of somebody else, or in none: two load tests of one name must not meet. */}}
{{- define "loadtest.foreignName" -}}
{{- include "loadtest.name" (dict "root" . "suffix" (printf "in-%s" (.Release.Namespace | sha256sum | trunc 8))) -}}
{{- end -}}

{{- define "loadtest.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "loadtest.name" (dict "root" . "suffix" "")) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "loadtest.targetNamespace" -}}
{{- .Values.target.namespace | default .Release.Namespace -}}
{{- end -}}

{{/* What selects every pod of this Helm release. */}}
{{- define "loadtest.instanceLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What selects the pods of one run: call with (dict "root" $ "component" "master"). */}}
{{- define "loadtest.runLabels" -}}
{{ include "loadtest.instanceLabels" .root }}
app.kubernetes.io/component: {{ .component }}
tonnage.dev/run: {{ .root.Release.Revision | quote }}
{{- end -}}

{{- define "loadtest.labels" -}}
{{ include "loadtest.instanceLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tonnage
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}
