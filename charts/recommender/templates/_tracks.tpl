{{/*
A set is one bento of one track: (dict "root" $ "track" name "of" its-values "bento" name).
Below: what follows from a set's values.
*/}}

{{/* The tracks in the order in which the Gateway must see them, as JSON. Stable first: only then do the canary's users grow with its weight. */}}
{{- define "recommender.trackNames" -}}
{{- concat (list "stable") (without (keys .Values.tracks | sortAlpha) "stable") | toJson -}}
{{- end -}}

{{/* Refuse values with which nothing good can come. */}}
{{- define "recommender.demandTracks" -}}
{{- if not (hasKey .Values.tracks "stable") -}}
{{- fail "tracks.stable is missing. Pass the values file that `tonnage package` wrote: helm install NAME charts/recommender -f FILE" -}}
{{- end -}}
{{- $total := 0 -}}
{{- range .Values.tracks }}{{ $total = add $total (int .weight) }}{{ end -}}
{{- if eq (int $total) 0 -}}
{{- fail "every track has weight 0, so nobody would be answered. Give one of them a weight." -}}
{{- end -}}
{{- end -}}

{{/* The fixed number of pods of a set, or nothing when its autoscaler owns it. */}}
{{- define "recommender.replicas" -}}
{{- $fixed := .of.replicas | default dict -}}
{{- $settings := index .root.Values .bento -}}
{{- if hasKey $fixed .bento -}}
{{- index $fixed .bento -}}
{{- else if not $settings.autoscaling.enabled -}}
{{- $settings.replicas -}}
{{- end -}}
{{- end -}}

{{- define "recommender.image" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end -}}

{{/*
The releases whose internal Services a track needs, as a JSON list: its own, the one it names as previous, and
every release that a ReplicaSet of the track still holds. So whatever pods are left of an earlier roll, and whatever
`kubectl rollout undo` can return to, find the Services of their own release. Call with a track (dict "root" "track" "of").
*/}}
{{- define "recommender.releases" -}}
{{- $root := .root -}}
{{- $track := .track -}}
{{- $found := list .of.release -}}
{{- with .of.previousRelease }}{{ $found = append $found . }}{{ end -}}
{{- if $root.Release.IsUpgrade -}}
{{- range (lookup "apps/v1" "ReplicaSet" $root.Release.Namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if and (eq (get $labels "app.kubernetes.io/instance") $root.Release.Name) (eq (get $labels "tonnage.dev/track") $track) -}}
{{- $found = append $found (get $labels "tonnage.dev/release") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end -}}
