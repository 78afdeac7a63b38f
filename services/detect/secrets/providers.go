package secrets

import "strings"

// provider is a form of key that says itself whose it is.
type provider struct {
	prefix   string
	set      alphabet
	min, max int // of what is behind the prefix
	label    string
	name     string
	entropy  float64 // bits a character that what is behind the prefix must have at least
}

// alphabet is a set of bytes.
type alphabet *[256]bool

func letters(ranges string) alphabet {
	var set [256]bool
	for i := 0; i < len(ranges); i++ {
		if i+2 < len(ranges) && ranges[i+1] == '-' {
			for c := int(ranges[i]); c <= int(ranges[i+2]); c++ {
				set[c] = true
			}
			i += 2
			continue
		}
		set[ranges[i]] = true
	}
	return &set
}

// Kinds of secrets.
const (
	apiKey     = "API_KEY"
	token      = "TOKEN"
	password   = "PASSWORD"
	privateKey = "PRIVATE_KEY"
)

// providers is a line for each form that gitleaks' rules do not have, or have too narrowly: prefixes, alphabet, shortest,
// longest, and whose it is. The forms are what the providers document.
func providers() []provider {
	sets := map[string]alphabet{
		"hex": letters("0-9a-f"), "HEX": letters("0-9A-Fa-f"), "b32": letters("A-Z2-7"), "alnum": letters("A-Za-z0-9"), "upper": letters("A-Z0-9"),
		"lower": letters("a-z0-9"), "word": letters("A-Za-z0-9_"), "url": letters("A-Za-z0-9_-"), "dot": letters("A-Za-z0-9_.-"), "b64": letters("A-Za-z0-9+/="),
		"any": letters("A-Za-z0-9_.+/=~-"),
	}
	var all []provider
	for _, t := range []struct{ label, lines string }{{apiKey, keyForms}, {token, tokenForms}, {privateKey, "AGE-SECRET-KEY-1 upper 58 58 age"}} {
		for line := range strings.SplitSeq(strings.TrimSpace(t.lines), "\n") {
			f := strings.Fields(line)
			p := provider{set: sets[f[1]], min: number(f[2]), max: number(f[3]), label: t.label, name: f[4], entropy: 2.5}
			if f[1] == "any" || f[1] == "word" || f[1] == "url" || f[1] == "dot" {
				p.entropy = 3
			}
			for prefix := range strings.SplitSeq(f[0], "|") {
				p.prefix = prefix
				all = append(all, p)
			}
		}
	}
	return all
}

func number(s string) int {
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

const keyForms = `
LTAI alnum 12 24 alibaba
AKID alnum 32 32 tencent
GOCSPX- url 28 28 google-oauth
sk-ant-api03-|sk-ant-admin01-|sk-ant-oat01- url 80 120 anthropic
sk-proj-|sk-svcacct-|sk-admin- url 40 200 openai
sk-or-v1- hex 64 64 openrouter
sk- alnum 32 64 openai-like
gsk_ alnum 40 60 groq
xai- alnum 70 90 xai
pplx- alnum 40 56 perplexity
r8_ alnum 37 40 replicate
pcsk_ word 40 90 pinecone
tvly- url 20 60 tavily
lsv2_pt_|lsv2_sk_ word 40 60 langsmith
csk- alnum 40 60 cerebras
nvapi- url 60 70 nvidia
whsec_ b64 32 90 webhook
rzp_live_|rzp_test_ alnum 14 14 razorpay
FLWSECK-|FLWSECK_TEST- dot 12 60 flutterwave
sq0csp-|sq0idp- url 22 43 square
key- hex 32 32 mailgun
xkeysib- url 64 90 brevo
NRAK- upper 27 27 new-relic
NRII- url 32 32 new-relic
NRJS- hex 19 19 new-relic
phc_|phx_ alnum 43 48 posthog
PMAK- url 59 59 postman
sdk-|api- url 36 36 launchdarkly
sgp_ word 40 80 sourcegraph
AQVN url 35 38 yandex
HRKU-AA|HRKU- url 36 70 heroku
sb_secret_ url 20 50 supabase
re_ word 30 40 resend
SCWSECRET upper 17 40 scaleway
dt0c01. dot 89 89 dynatrace
CFPAT- url 43 43 contentful
hsk_|hsp_ alnum 30 60 helicone
fc- hex 32 32 firecrawl
A3- url 30 40 1password
`

const tokenForms = `
glpat-|glptt-|gldt-|glrt-|glcbt-|gloas-|glsoat-|glft-|glimt-|glagent- dot 20 60 gitlab
xoxb-|xoxp-|xoxa-|xoxr-|xoxs-|xoxo-|xapp- url 24 120 slack
xoxe.xoxp-|xoxe.xoxb-|xoxe- url 60 200 slack
hf_|api_org_ alnum 34 34 hugging-face
pypi-AgENdGVzdC5weXBpLm9yZw url 50 300 pypi
dckr_pat_|dckr_oat_ url 27 40 docker
cio alnum 32 32 crates-io
oy2 lower 43 43 nuget
hvs.|hvb.|hvr. url 24 300 vault
dapi hex 32 34 databricks
dp.pt.|dp.st.|dp.ct. dot 40 60 doppler
glsa_ word 41 41 grafana
sntrys_ any 100 300 sentry
sbp_ hex 40 40 supabase
nfp_ alnum 36 40 netlify
vcp_ alnum 24 60 vercel
figd_|figo_ url 35 50 figma
ntn_ alnum 40 50 notion
secret_ alnum 43 43 notion
tskey-auth-|tskey-api-|tskey-client- url 20 60 tailscale
tfp_ any 59 59 typeform
pnb_ alnum 36 36 prefect
ATATT3|ATCTT3 any 150 220 atlassian
ATBB alnum 24 32 bitbucket
EAAA url 58 64 square
EAA alnum 100 250 facebook
APP_USR- url 60 80 mercado-pago
ya29. url 40 300 google-oauth
sl.u.|sl.B url 120 200 dropbox
sm_aat_|sm_pat_ alnum 16 20 settlemint
cmVmdGtu alnum 56 60 artifactory
EZAT alnum 54 54 easypost
`
