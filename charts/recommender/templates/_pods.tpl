{{/* What Pod Security "restricted" asks of a pod: call with the numeric user. */}}
{{- define "recommender.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "recommender.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pods may run, the same for all. */}}
{{- define "recommender.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where the recommender finds the online store. A password stays in its Secret. */}}
{{- define "recommender.onlineStore" -}}
{{- $own := .Values.onlineStore -}}
{{- if .Values.redis.enabled -}}
{{- $host := include "recommender.name" (dict "root" . "suffix" "redis") -}}
{{- if .Values.redis.auth.existingSecret -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .Values.redis.auth.existingSecret }}, key: {{ .Values.redis.auth.key }}}
- name: TONNAGE_ONLINE_STORE
  value: redis://:$(REDIS_PASSWORD)@{{ $host }}:6379/0
{{- else -}}
- name: TONNAGE_ONLINE_STORE
  value: redis://{{ $host }}:6379/0
{{- end -}}
{{- else if $own.existingSecret.name -}}
- name: TONNAGE_ONLINE_STORE
  valueFrom:
    secretKeyRef: {name: {{ $own.existingSecret.name }}, key: {{ $own.existingSecret.key }}}
{{- else -}}
- name: TONNAGE_ONLINE_STORE
  value: {{ required "redis.enabled is false: set onlineStore.url or onlineStore.existingSecret.name" $own.url | quote }}
{{- end -}}
{{- end -}}

{{/*
The environment of a set. What belongs to a release stands in the pod template and nowhere else, so that
`kubectl rollout undo` brings all of it back; what does not is in the ConfigMap. Call with a set.
*/}}
{{- define "recommender.environment" -}}
{{- $settings := include "recommender.settings" . | fromJson -}}
- name: TONNAGE_TRACK
  value: {{ .track }}
- name: TONNAGE_WORKERS
  value: {{ $settings.workers | quote }}
{{- if ne .bento "recommender" }}
- name: TONNAGE_GRPC_PORT
  value: {{ include "recommender.grpcPort" . | quote }}
{{- end }}
{{- if eq .bento "retriever" }}
- name: TONNAGE_HOT_SWAP
  value: {{ $settings.hotSwap | quote }}
{{- end }}
{{- if eq .bento "recommender" }}
- name: TONNAGE_RETRIEVER_URL
  value: http://{{ include "recommender.releaseServiceName" (dict "root" .root "track" .track "bento" "retriever" "release" .of.release) }}
- name: TONNAGE_RANKER_URL
  value: http://{{ include "recommender.releaseServiceName" (dict "root" .root "track" .track "bento" "ranker" "release" .of.release) }}
{{ include "recommender.onlineStore" .root }}
{{- end }}
{{- range $name, $value := $settings.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* Where retriever and ranker speak the Open Inference Protocol over gRPC: in the pod, at its Services, in the policies. */}}
{{- define "recommender.grpcPort" -}}3001{{- end -}}

{{/* The ports of a Service: call with a bento's name. */}}
{{- define "recommender.servicePorts" -}}
- {name: http, port: 80, targetPort: http, appProtocol: http}
{{- if ne . "recommender" }}
- {name: grpc, port: {{ include "recommender.grpcPort" . }}, targetPort: grpc, appProtocol: kubernetes.io/h2c}
{{- end }}
{{- end -}}

{{/* Liveness and readiness paths: call with the bento's name. */}}
{{- define "recommender.livePath" -}}
{{- ternary "/livez" "/v2/health/live" (eq . "recommender") -}}
{{- end -}}
{{- define "recommender.readyPath" -}}
{{- ternary "/readyz" "/v2/health/ready" (eq . "recommender") -}}
{{- end -}}

{{/*
What a pod waits for before it is told to stop; then it serves on for drainSeconds by itself, and closes connections as it
answers. The last retrievers and rankers of a release wait for as long as a recommender of their release is there (its
headless Service resolves) and no peer of their own is ready (theirs does not), for holdSeconds at most: with no ready
pod left, a Service sends its traffic to the leaving ones that still serve. So neither a slow roll nor one that fails
takes away what the old recommenders call. Peers are believed after 35 s, when what DNS had cached before is forgotten.
*/}}
{{- define "recommender.hold" -}}
{{- $of := dict "root" .root "track" .track "release" .of.release -}}
exec:
  command:
    - sh
    - -c
    - |
      told=$(date +%s)
      while getent hosts {{ include "recommender.releaseServiceName" (merge (dict "bento" "recommender") $of) }} >/dev/null; do
        waited=$(( $(date +%s) - told ))
        [ "$waited" -lt {{ .root.Values.rollout.holdSeconds }} ] || break
        [ "$waited" -lt 35 ] || ! getent hosts {{ include "recommender.peersServiceName" (merge (dict "bento" .bento) $of) }} >/dev/null || break
        sleep 1
      done
      # The first process of a container is deaf to a SIGTERM (bit 14) that it does not catch yet, and would stay to the end.
      waited=0
      until [ $(( 0x$(sed -n 's/^SigCgt:[[:space:]]*//p' /proc/1/status) >> 14 & 1 )) -eq 1 ] || [ "$waited" -ge {{ .root.Values.probes.startupSeconds }} ]; do
        sleep 1
        waited=$(( waited + 1 ))
      done
{{- end -}}

{{/* Seconds between "told to leave" and being killed: call with a set. */}}
{{- define "recommender.grace" -}}
{{- $rollout := .root.Values.rollout -}}
{{- $hold := ternary 0 $rollout.holdSeconds (eq .bento "recommender") -}}
{{- add $hold $rollout.drainSeconds .root.Values.requestTimeoutSeconds 5 -}}
{{- end -}}
