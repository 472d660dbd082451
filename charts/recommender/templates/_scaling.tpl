{{/* Who tells the autoscaler of a set how many requests are in flight, `adapter` or `keda`; nothing where only CPU counts. */}}
{{- define "recommender.inFlightSource" -}}
{{- $target := (include "recommender.settings" . | fromJson).autoscaling.targetInFlight -}}
{{- if $target }}{{ .root.Values.autoscaling.inFlight.source }}{{ end -}}
{{- end -}}

{{/*
How fast the autoscaler of a set moves. While another track has users, stable keeps its pods: whoever aborts that
track sends all of its users back at once.
*/}}
{{- define "recommender.scalingBehavior" -}}
{{- $behavior := deepCopy .root.Values.autoscaling.behavior -}}
{{- $others := 0 -}}
{{- range omit .root.Values.tracks "stable" }}{{ $others = add $others (int .weight) }}{{ end -}}
{{- if and (eq .track "stable") (gt (int $others) 0) .root.Values.autoscaling.keepStable -}}
{{- $behavior = mergeOverwrite $behavior (dict "scaleDown" (dict "selectPolicy" "Disabled")) -}}
{{- end -}}
{{- toYaml $behavior -}}
{{- end -}}
