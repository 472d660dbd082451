{{/*
A set is one bento of one track: (dict "root" $ "track" name "of" its-values "bento" name).
Below: what follows from a set's values.
*/}}

{{/* The tracks in the order in which the Gateway must see them, as JSON. Stable first: only then do the canary's users grow with its weight. */}}
{{- define "recommender.trackNames" -}}
{{- include "recommender.demandTracks" . -}}
{{- concat (list "stable") (without (keys .Values.tracks | sortAlpha) "stable") | toJson -}}
{{- end -}}

{{/* Refuse values with which nothing good can come. */}}
{{- define "recommender.demandTracks" -}}
{{- if not (hasKey .Values.tracks "stable") -}}
{{- fail "tracks.stable is missing. Pass the values file that `tonnage package` wrote: helm install NAME charts/recommender -f FILE" -}}
{{- end -}}
{{- $total := 0 -}}
{{- $said := list -}}
{{- range $track, $of := .Values.tracks -}}
{{- $total = add $total (int $of.weight) -}}
{{- $said = append $said (printf "%s %d" $track (int $of.weight)) -}}
{{- include "recommender.demandPods" (dict "root" $ "track" $track "of" $of) -}}
{{- end -}}
{{- if ne (int $total) 100 -}}
{{- fail (printf "weights are percents of the users and must add up to 100, not %d: %s. Set those of all tracks together." $total (join ", " $said)) -}}
{{- end -}}
{{- end -}}

{{/* Refuse a track that is to get requests and has nobody to answer them: call with a track (dict "root" "track" "of"). */}}
{{- define "recommender.demandPods" -}}
{{- $track := .track -}}
{{- if and .of.mirror (not .root.Values.gateway.enabled) -}}
{{- fail (printf "tracks.%s.mirror needs a Gateway, which makes the copy: set gateway.enabled, or mirror to false." $track) -}}
{{- end -}}
{{- if and .of.mirror (gt (int .of.weight) 0) -}}
{{- fail (printf "tracks.%s has mirror and weight %d: a track that gets a copy of the traffic has no users of its own. Set its weight to 0, or mirror to false." $track (int .of.weight)) -}}
{{- end -}}
{{- if and .root.Values.gateway.enabled (or .of.mirror (gt (int .of.weight) 0)) -}}
{{- range $bento := list "retriever" "ranker" "recommender" -}}
{{- if eq (include "recommender.replicas" (merge (dict "bento" $bento) $)) "0" -}}
{{- fail (printf "tracks.%s would get requests (weight %d, mirror %v) and has no %s: its replicas are 0. Take the requests away first, or give it pods." $track (int $.of.weight) ($.of.mirror | default false) $bento) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The settings of a set, as JSON: its bento's, and over them what its track overrides. Maps are merged, lists replaced. */}}
{{- define "recommender.settings" -}}
{{- $over := get (.of.overrides | default dict) .bento | default dict -}}
{{- mergeOverwrite (deepCopy (index .root.Values .bento)) $over | toJson -}}
{{- end -}}

{{/* The fixed number of pods of a set, or nothing when its autoscaler owns it. */}}
{{- define "recommender.replicas" -}}
{{- $fixed := .of.replicas | default dict -}}
{{- $settings := include "recommender.settings" . | fromJson -}}
{{- if hasKey $fixed .bento -}}
{{- index $fixed .bento -}}
{{- else if not $settings.autoscaling.enabled -}}
{{- $settings.replicas -}}
{{- end -}}
{{- end -}}

{{/* The tracks whose recommenders have pods, in the order of trackNames, as JSON. */}}
{{- define "recommender.livingTracks" -}}
{{- $living := list -}}
{{- range $track := include "recommender.trackNames" . | fromJsonArray -}}
{{- $set := dict "root" $ "track" $track "of" (index $.Values.tracks $track) "bento" "recommender" -}}
{{- if ne (include "recommender.replicas" $set) "0" }}{{ $living = append $living $track }}{{ end -}}
{{- end -}}
{{- $living | toJson -}}
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
