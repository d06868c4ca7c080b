{{/* The names of one set of identity headers, as foregate has them. */}}
{{- define "foregate.headers.of" -}}
{{- if kindIs "map" . }}{{ keys . | join "," | lower }}
{{- else if eq . "authentik" -}}
x-authentik-username,x-authentik-groups,x-authentik-entitlements,x-authentik-email,x-authentik-name,x-authentik-uid,
{{- "" }}x-authentik-jwt,x-authentik-meta-jwks,x-authentik-meta-outpost,x-authentik-meta-provider,x-authentik-meta-app,
{{- "" }}x-authentik-meta-version
{{- else if eq . "oauth2-proxy" -}}
x-auth-request-user,x-auth-request-email,x-auth-request-groups,x-auth-request-preferred-username,
{{- "" }}x-auth-request-access-token
{{- else -}}
remote-user,remote-name,remote-email,remote-groups
{{- end }}
{{- end }}

{{/* The header in which clients name a tenant, and apps are told of it. */}}
{{- define "foregate.tenant" -}}
{{- dig "header" "X-Tenant-ID" .Values.config.tenants | lower }}
{{- end }}

{{/* All names that any app gets, so that one check serves all routes: what an app does not get is taken off it. They are those of
`foregate snippet`, to which a test holds them. */}}
{{- define "foregate.headers" -}}
{{- $config := .Values.config }}
{{- $names := list (include "foregate.headers.of" (default "remote" $config.headers)) "x-foregate-token" }}
{{- $assertion := dig "assertion" false $config }}
{{- $emergency := false }}
{{- range $app := $config.apps }}
{{- if kindIs "map" $app }}
{{- with $app.headers }}
{{- $names = append $names (include "foregate.headers.of" .) }}
{{- end }}
{{- $assertion = or $assertion (dig "assertion" false $app) }}
{{- $emergency = or $emergency (dig "emergency" false $app) }}
{{- end }}
{{- end }}
{{- if $config.roles }}
{{- $names = append $names "x-roles,x-permissions" }}
{{- end }}
{{- if $config.tenants }}
{{- $names = append $names (printf "%s,x-tenant-role" (include "foregate.tenant" .)) }}
{{- end }}
{{- if $assertion }}
{{- $names = append $names "foregate-assertion" }}
{{- end }}
{{- if $emergency }}
{{- $names = append $names "x-foregate-emergency,authorization" }}
{{- end }}
{{- join "," $names | splitList "," | uniq | sortAlpha | join "," }}
{{- end }}

{{/* Every spelling of them, as servers behind CGI cannot tell Remote-User, Remote_User and Remote.User apart. */}}
{{- define "foregate.spellings" -}}
{{- $spellings := list }}
{{- range include "foregate.headers" . | splitList "," }}
{{- $spellings = append $spellings (regexReplaceAll "[^a-z0-9]" . "[^a-z0-9]") }}
{{- end }}
{{- join "|" $spellings }}
{{- end }}

{{/* What foregate is to see of a request where a front proxy shows nothing by itself. Those that name another method are
there in both spellings: foregate refuses them where a rule asks for methods. */}}
{{- define "foregate.seen" -}}
{{- $names := list "accept" "accept-language" "authorization" "cookie" "destination" "foregate-probe" "origin" "referer" "upgrade" }}
{{- $names = concat $names (list "user-agent" "x-foregate-token" "x-forwarded-for" "x-forwarded-proto" "x-requested-with") }}
{{- $names = concat $names (list "access-control-request-headers" "access-control-request-method") }}
{{- $names = concat $names (list "sec-fetch-dest" "sec-fetch-mode" "sec-fetch-site" "sec-fetch-user" "sec-websocket-key") }}
{{- if .Values.config.tenants }}
{{- $names = append $names (include "foregate.tenant" .) }}
{{- end }}
{{- range list "method" "method-override" "x-http-method" "x-http-method-override" "x-http-override" "x-http-verb" "x-method" "x-method-override" "x-tunneled-method" }}
{{- $names = concat $names (list . (replace "-" "_" .)) }}
{{- end }}
{{- uniq $names | join "," }}
{{- end }}
