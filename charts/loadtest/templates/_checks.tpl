{{/* What no schema can say. Each failure is a sentence that says what to do. */}}
{{- define "loadtest.checks" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is missing. Pass the values file that `tonnage package --loadtest` wrote: -f build/packaging/values-loadtest.yaml" -}}
{{- end -}}
{{- if not (or .Values.image.digest .Values.image.tag) -}}
{{- fail (printf "image %s has neither a digest nor a tag. Set image.digest or image.tag." .Values.image.repository) -}}
{{- end -}}
{{- if not .Values.host -}}
{{- fail "host is missing. Say whom to load: --set host=http://HOST:PORT" -}}
{{- end -}}
{{- $name := (urlParse .Values.host).hostname -}}
{{- if ne .Values.yesLoad $name -}}
{{- fail (printf "host %s is going to be loaded, and load may hurt it. If you may load it, say so: --set yesLoad=%s" .Values.host $name) -}}
{{- end -}}
{{- if and .Values.rbac.nodes (not .Values.rbac.create) -}}
{{- fail "rbac.nodes asks for a ClusterRole, and rbac.create is false. Set both, or neither." -}}
{{- end -}}
{{- if and .Values.target.name (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) .Values.rbac.create -}}
{{- fail "the rights to look at target.name would go to the ServiceAccount default, and so to every pod here. Name one in serviceAccount.name, or set serviceAccount.create." -}}
{{- end -}}
{{- end -}}
