{{/* A key as TOML has it. JSON strings are TOML's basic strings. */}}
{{- define "foregate.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{/* A value on one line. Helm reads every number as a fraction; foregate has whole ones only. */}}
{{- define "foregate.toml.value" -}}
{{- if kindIs "map" . -}}
{ {{- range $i, $key := keys . | sortAlpha }}{{ if $i }},{{ end }} {{ include "foregate.toml.key" $key }} = {{ include "foregate.toml.value" (get $ $key) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{ range $i, $value := . }}{{ if $i }}, {{ end }}{{ include "foregate.toml.value" $value }}{{ end }}]
{{- else if kindIs "string" . -}}
{{ toJson . }}
{{- else if kindIs "bool" . -}}
{{ . }}
{{- else -}}
{{ int64 . }}
{{- end }}
{{- end }}

{{/* Arrays of tables, such as rules: one on each line. */}}
{{- define "foregate.toml.list" -}}
{{- if and . (kindIs "map" (first .)) -}}
[
{{- range . }}
  {{ include "foregate.toml.value" . }},
{{- end }}
]
{{- else -}}
{{ include "foregate.toml.value" . }}
{{- end }}
{{- end }}

{{/* A table: first what it holds itself, then the tables within it. Takes the path and the tree. */}}
{{- define "foregate.toml.table" -}}
{{- $path := index . 0 }}
{{- $table := index . 1 }}
{{- $header := $path }}
{{- range $key := keys $table | sortAlpha }}
{{- $value := get $table $key }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{- with $header }}
[{{ . }}]
{{- end }}
{{- $header = "" }}
{{ include "foregate.toml.key" $key }} = {{ if kindIs "slice" $value }}{{ include "foregate.toml.list" $value }}{{ else }}{{ include "foregate.toml.value" $value }}{{ end }}
{{- end }}
{{- end }}
{{- range $key := keys $table | sortAlpha }}
{{- $value := get $table $key }}
{{- if kindIs "map" $value }}
{{- $name := include "foregate.toml.key" $key }}
{{- if $value }}
{{ include "foregate.toml.table" (list (ternary $name (printf "%s.%s" $path $name) (eq $path "")) $value) }}
{{- else if $path }}
[{{ $path }}.{{ $name }}]
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* foregate.toml: the values' tree with what the chart knows better. */}}
{{- define "foregate.toml" -}}
{{- $config := deepCopy .Values.config }}
{{- $server := dig "server" dict $config }}
{{- $_ := set $server "listen" (printf "0.0.0.0:%d" (int .Values.service.port)) }}
{{- $_ := set $server "admin_listen" (printf "0.0.0.0:%d" (int .Values.service.adminPort)) }}
{{- $_ := set $server "admin_token_file" "/run/foregate/admin_token" }}
{{- $_ := set $config "server" $server }}
{{- $session := dig "session" dict $config }}
{{- if .Values.sqlite.enabled }}
{{- $_ := set $session "store" "sqlite:/var/lib/foregate/foregate.db" }}
{{- else }}
{{- $_ := set $session "store_file" "/run/foregate/store" }}
{{- end }}
{{- $_ := set $session "keys_file" "/run/foregate/keys" }}
{{- $_ := set $config "session" $session }}
{{- with $config.provider }}
{{- if ne (dig "client_auth" "" .) "none" }}
{{- $_ := set . "client_secret_file" "/run/foregate/client_secret" }}
{{- end }}
{{- end }}
{{- range $name, $provider := $config.providers }}
{{- if ne (dig "client_auth" "" $provider) "none" }}
{{- $_ := set $provider "client_secret_file" (printf "/run/foregate/providers/%s" $name) }}
{{- end }}
{{- end }}
{{- regexReplaceAll "\n\n+" (include "foregate.toml.table" (list "" $config) | trim) "\n\n" }}
{{- end }}
