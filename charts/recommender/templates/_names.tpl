{{/*
Names. Every object is called <fullname>-<suffix>; the suffix always survives. A base that does not fit a
DNS label beside it is cut and gets a digest of the whole, so that two long names never become one.
*/}}
{{- define "recommender.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name -}}
{{- end -}}

{{/* Call with (dict "root" $ "suffix" "stable-ranker"). */}}
{{- define "recommender.name" -}}
{{- $base := include "recommender.fullname" .root -}}
{{- $suffix := ternary (printf "-%s" .suffix) "" (ne .suffix "") -}}
{{- $room := int (sub 63 (len $suffix)) -}}
{{- if gt (len $base) $room -}}
{{- $base = printf "%s-%s" ($base | trunc (int (sub $room 9)) | trimSuffix "-") ($base | sha256sum | trunc 8) -}}
{{- end -}}
{{- printf "%s%s" $base $suffix -}}
{{- end -}}

{{/* The name of a track's set: call with a set (see _tracks.tpl). */}}
{{- define "recommender.setName" -}}
{{- include "recommender.name" (dict "root" .root "suffix" (printf "%s-%s" .track .bento)) -}}
{{- end -}}

{{/* The Service of one bento in one track and one release: call with (dict "root" $ "track" .. "bento" .. "release" ..). */}}
{{- define "recommender.releaseServiceName" -}}
{{- include "recommender.name" (dict "root" .root "suffix" (printf "%s-%s-%s" .track .bento .release)) -}}
{{- end -}}

{{/* The name that resolves while a pod of one bento, track and release is ready: call with the same. */}}
{{- define "recommender.peersServiceName" -}}
{{- include "recommender.name" (dict "root" .root "suffix" (printf "%s-%s-%s-peers" .track .bento .release)) -}}
{{- end -}}

{{- define "recommender.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "recommender.name" (dict "root" . "suffix" "")) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* What selects every pod of this Helm release. */}}
{{- define "recommender.instanceLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of every object. Not for pod templates: a new chart version alone must not roll pods. */}}
{{- define "recommender.labels" -}}
{{ include "recommender.instanceLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tonnage
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* What selects the pods of one set, whatever their release: call with a set. */}}
{{- define "recommender.setLabels" -}}
{{ include "recommender.instanceLabels" .root }}
app.kubernetes.io/component: {{ .bento }}
tonnage.dev/track: {{ .track }}
{{- end -}}

{{/* What selects the pods of one set and one release: call with a set and its "release". */}}
{{- define "recommender.releaseSelector" -}}
{{ include "recommender.setLabels" . }}
tonnage.dev/release: {{ .release }}
{{- end -}}

{{- define "recommender.releaseServiceLabels" -}}
{{ include "recommender.labels" .root }}
app.kubernetes.io/component: {{ .bento }}
tonnage.dev/track: {{ .track }}
tonnage.dev/release: {{ .release }}
{{- end -}}
