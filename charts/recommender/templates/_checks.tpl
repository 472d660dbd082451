{{/*
One pod of `helm test`: call with (dict "root" $ "name" .. "track" .. "behaviour" .. "argument" .. "target" ..).
It asks the recommender of the track unless there is another target.
It runs in the recommender's image, so nothing else has to be pulled.
*/}}
{{- define "recommender.check" -}}
{{- $of := index .root.Values.tracks .track -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "recommender.name" (dict "root" .root "suffix" (printf "check-%s" .name)) }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "recommender.labels" .root | nindent 4 }}
    app.kubernetes.io/component: check
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 120
  serviceAccountName: {{ include "recommender.serviceAccountName" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext: {{- include "recommender.podSecurity" 1034 | nindent 4 }}
  {{- with include "recommender.placement" .root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: check
      image: {{ include "recommender.image" $of.images.recommender }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      terminationMessagePolicy: FallbackToLogsOnError
      command:
        - python
        - -c
        - {{ .root.Files.Get "checks/behaviours.py" | quote }}
        - {{ .behaviour }}
        - {{ .target | default (printf "http://%s" (include "recommender.setName" (dict "root" .root "track" .track "bento" "recommender"))) }}
        - {{ .argument | default "" | quote }}
      resources:
        requests: {cpu: 20m, memory: 32Mi}
        limits: {memory: 128Mi}
      securityContext: {{- include "recommender.containerSecurity" .root | nindent 8 }}
{{- end -}}
