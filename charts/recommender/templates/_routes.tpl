{{/* A track behind the Gateway: call with (dict "root" $ "track" name). */}}
{{- define "recommender.backend" -}}
name: {{ include "recommender.setName" (merge (dict "bento" "recommender") .) }}
port: 80
# A filter of its own keeps Envoy Gateway from folding the tracks into one cluster, weights lost.
filters:
  - type: ResponseHeaderModifier
    responseHeaderModifier:
      set:
        - {name: x-tonnage-track, value: {{ .track }}}
{{- end -}}

{{/*
Every track with its weight, in tenths of a per cent. Envoy Gateway makes no cluster for a weight of 0, and for a
moment after a weight came or went Envoy may know the route and not the cluster: a 500 for whoever asks then. So a
track without a weight keeps its place, filled with a tenth of the first track that has one: its users get no other. The sum
stays, since users are told apart by what their hash leaves over of it.
*/}}
{{- define "recommender.shares" -}}
{{- $tracks := include "recommender.trackNames" . | fromJsonArray -}}
{{- $open := "" -}}
{{- $closed := 0 -}}
{{- range $track := $tracks -}}
{{- if eq (int (index $.Values.tracks $track).weight) 0 }}{{ $closed = add1 $closed }}{{ else if not $open }}{{ $open = $track }}{{ end -}}
{{- end -}}
{{- range $i, $track := $tracks }}{{ if $i }}
{{ end }}
{{- $tenths := mul 10 (index $.Values.tracks $track).weight -}}
- weight: {{ max 1 (eq $track $open | ternary (sub $tenths $closed) $tenths) }}
  {{- include "recommender.backend" (dict "root" $ "track" (ternary $track $open (gt $tenths 0))) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The tracks that get a copy of the traffic, as JSON. */}}
{{- define "recommender.mirrors" -}}
{{- $found := list -}}
{{- range $track := include "recommender.trackNames" . | fromJsonArray -}}
{{- if (index $.Values.tracks $track).mirror }}{{ $found = append $found $track }}{{ end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* The paths that are copied, of those that the Gateway lets in, as JSON: they read and store nothing. */}}
{{- define "recommender.mirroredPaths" -}}
{{- $found := list -}}
{{- range $path := list "/v1/recommendations" "/v1/similar-items" -}}
{{- range $.Values.gateway.paths -}}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" .)) (printf "%s/" $path) }}{{ $found = append $found $path }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end -}}

{{/*
What the one Service selects where there is no Gateway. A selector can name one track or none, so users share
either all tracks that have recommenders, or get one of them.
*/}}
{{- define "recommender.pool" -}}
{{- $open := list -}}
{{- $closed := list -}}
{{- range $track := include "recommender.livingTracks" . | fromJsonArray -}}
{{- if gt (int (index $.Values.tracks $track).weight) 0 }}{{ $open = append $open $track }}{{ else }}{{ $closed = append $closed $track }}{{ end -}}
{{- end -}}
{{- if and $closed (gt (len $open) 1) -}}
{{- fail (printf "without a Gateway one Service covers one track or all: %s have a weight, %s has pods and none. Park it (replicas 0), give it a weight, or set gateway.enabled." (join " and " $open) (join " and " $closed)) -}}
{{- end -}}
{{ include "recommender.instanceLabels" . }}
app.kubernetes.io/component: recommender
{{- if and $closed $open }}
tonnage.dev/track: {{ first $open }}
{{- end }}
{{- end -}}
