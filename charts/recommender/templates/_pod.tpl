{{/* The spec of the pods of a set: call with a set, and the name of its "container" where it is not the bento's. */}}
{{- define "recommender.pod" -}}
{{- $root := .root -}}
{{- $settings := include "recommender.settings" . | fromJson -}}
serviceAccountName: {{ include "recommender.serviceAccountName" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "recommender.grace" . }}
securityContext: {{- include "recommender.podSecurity" 1034 | nindent 2 }}
{{- with include "recommender.placement" $root | trim }}
{{ . }}
{{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $root.Values.topologySpread }}
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- include "recommender.setLabels" $ | nindent 8 }}
  {{- end }}
containers:
  - name: {{ .container | default .bento }}
    image: {{ include "recommender.image" (index .of.images .bento) }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    # A service that cannot serve its release says why in its last line: `kubectl describe pod` shows it.
    terminationMessagePolicy: FallbackToLogsOnError
    ports:
      - {name: http, containerPort: 3000}
      {{- if ne .bento "recommender" }}
      - {name: grpc, containerPort: {{ include "recommender.grpcPort" . }}}
      {{- end }}
    envFrom:
      - configMapRef: {name: {{ include "recommender.name" (dict "root" $root "suffix" "environment") }}}
    env: {{- include "recommender.environment" . | nindent 6 }}
    resources: {{- toYaml $settings.resources | nindent 6 }}
    startupProbe:
      httpGet: {path: {{ include "recommender.livePath" .bento }}, port: http}
      periodSeconds: 2
      timeoutSeconds: 5
      failureThreshold: {{ ceil (divf $root.Values.probes.startupSeconds 2) }}
    readinessProbe:
      httpGet: {path: {{ include "recommender.readyPath" .bento }}, port: http}
      periodSeconds: 2
      timeoutSeconds: 2
      failureThreshold: 3
    livenessProbe:
      httpGet: {path: {{ include "recommender.livePath" .bento }}, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    {{- if ne .bento "recommender" }}
    lifecycle:
      preStop: {{- include "recommender.hold" . | nindent 8 }}
    {{- end }}
    securityContext: {{- include "recommender.containerSecurity" $root | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- with $settings.volumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 128Mi}
  {{- with $settings.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The annotations of the pods of a set: call with the same. */}}
{{- define "recommender.podAnnotations" -}}
kubectl.kubernetes.io/default-container: {{ .container | default .bento }}
checksum/config: {{ include (print .root.Template.BasePath "/configmap.yaml") .root | sha256sum }}
{{- if .root.Values.metrics.annotations }}
prometheus.io/scrape: "true"
prometheus.io/port: "3000"
prometheus.io/path: /metrics
{{- end }}
{{- end -}}

{{/* Whether a set is an InferenceService, which makes its Deployment: "true" or nothing. */}}
{{- define "recommender.byKServe" -}}
{{- if and (eq .root.Values.engine "kserve") (ne .bento "recommender") }}true{{ end -}}
{{- end -}}

{{/* The Deployment of a set, whoever makes it; KServe adds "-predictor" to the name of the InferenceService. */}}
{{- define "recommender.deploymentName" -}}
{{- $end := ternary "-predictor" "" (eq (include "recommender.byKServe" .) "true") -}}
{{- include "recommender.name" (dict "root" .root "suffix" (printf "%s-%s%s" .track .bento $end)) -}}
{{- end -}}
