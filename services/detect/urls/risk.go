package urls

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// risk is the sum of what is odd about an address.
type risk struct {
	score   float64
	reasons []string
}

func (r *risk) add(score float64, reason string) {
	r.score = 1 - (1-r.score)*(1-score) // as of independent signs
	r.reasons = append(r.reasons, reason)
}

// data judges a data URL; false if it is none, or an image.
func (r *risk) data(head string) bool {
	kind, _, ok := strings.Cut(head, ",")
	if !ok {
		return false
	}
	for _, t := range []string{"text/html", "image/svg+xml", "application/javascript", "text/javascript", "application/xhtml", "application/x-"} {
		if strings.HasPrefix(kind[len("data:"):], t) {
			r.add(0.75, "data that a browser runs")
			return true
		}
	}
	return false
}

var (
	shorteners = strings.Fields("bit.ly tinyurl.com t.co goo.gl is.gd ow.ly buff.ly rebrand.ly cutt.ly rb.gy shorturl.at tiny.cc t.ly s.id v.gd bl.ink lnkd.in adf.ly shorte.st u.to clck.ru")
	oddEndings = strings.Fields("zip mov tk ml ga cf gq top xyz click country stream download work loan men icu cyou rest cam buzz quest sbs bond monster hair kim party review trade date win bid support live")
	loginWords = strings.Fields("login logon signin sign-in verify verification secure security account update confirm password wallet unlock suspended banking billing webscr authenticate recover")
	brands     = strings.Fields("paypal apple microsoft google amazon netflix facebook instagram whatsapp wellsfargo coinbase binance metamask office365 outlook icloud docusign dropbox linkedin")
	lookalikes = strings.Fields("paypa1 paypai g00gle go0gle micros0ft rnicrosoft arnazon amaz0n faceb00k app1e netf1ix 1inkedin goog1e")
	programs   = strings.Fields("exe scr bat cmd ps1 vbs js jar hta apk msi lnk iso com pif dll")
	documents  = strings.Fields("pdf doc docx xls xlsx jpg jpeg png txt mp4 mp3 zip ppt pptx gif invoice")
	redirects  = strings.Fields("url redirect redirect_url redirecturl next return returnurl return_to returnto goto dest destination target continue u out link forward to r")
)

// address adds all that is odd about a host, a path and a query.
func (r *risk) address(a address) {
	r.user(a)
	if r.numeric(a) {
		r.file(a)
		r.redirect(a)
		return
	}
	if slices.Contains(shorteners, a.host) && len(a.path) > 1 {
		r.add(0.55, "a shortener hides where it leads")
	}
	r.script(a)
	r.names(a)
	r.file(a)
	r.redirect(a)
}

func (r *risk) user(a address) {
	if a.user == "" {
		return
	}
	name, _, _ := strings.Cut(a.user, ":")
	switch {
	case strings.Contains(name, ".") || strings.Contains(strings.ToLower(name), "%2e") || strings.Contains(name, "%40"):
		r.add(0.8, "a name before the host looks like a host")
	default:
		r.add(0.3, "a name before the host")
	}
}

// numeric judges a host that is an address; false if it is a name.
func (r *risk) numeric(a address) bool {
	if ip, err := netip.ParseAddr(strings.Trim(a.host, "[]")); err == nil {
		if !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsLinkLocalUnicast() {
			r.add(0.55, "the host is an address")
		}
		if ip.String() == "169.254.169.254" {
			r.add(0.8, "the metadata service of a cloud")
		}
		return true
	}
	numeric := true
	for _, l := range a.labels {
		numeric = numeric && (strings.Trim(l, "0123456789") == "" || strings.HasPrefix(l, "0x") && strings.Trim(l[2:], "0123456789abcdef") == "")
	}
	if numeric {
		r.add(0.85, "the host is an address in disguise")
	}
	return numeric
}

// script judges letters that look like others.
func (r *risk) script(a address) {
	for _, l := range a.labels {
		if enc, ok := strings.CutPrefix(l, "xn--"); ok {
			r.add(0.3, "punycode")
			l = punycode(enc)
		}
		latin, other, fakes, letters := false, false, 0, 0
		for _, c := range l {
			switch {
			case unicode.Is(unicode.Latin, c):
				latin = true
			case unicode.Is(unicode.Cyrillic, c), unicode.Is(unicode.Greek, c), unicode.Is(unicode.Armenian, c), unicode.Is(unicode.Cherokee, c):
				other = true
				if strings.ContainsRune("аеорсухіѕјԁһԛԝвкмнтοανρετυικԍӏ", c) {
					fakes++
				}
			}
			if unicode.IsLetter(c) {
				letters++
			}
		}
		switch {
		case latin && other:
			r.add(0.85, "scripts mixed in a name")
		case letters > 1 && fakes == letters:
			r.add(0.7, "letters that look Latin and are not")
		}
	}
}

// names judges the words of a host and a path.
func (r *risk) names(a address) {
	n := len(a.labels)
	odd := slices.Contains(oddEndings, a.labels[n-1])
	count := 0
	text := a.host + strings.ToLower(a.path)
	for _, w := range loginWords {
		if strings.Contains(text, w) {
			count++
		}
	}
	inHost := slices.ContainsFunc(loginWords, func(w string) bool { return strings.Contains(a.host, w) })
	switch {
	case odd && count > 0:
		r.add(0.6, "a cheap top level and a word of logins")
	case odd:
		r.add(0.15, "a cheap top level")
	case inHost && count > 1 && strings.Contains(a.host, "-"):
		r.add(0.4, "words of logins in a host")
	}
	owner := a.labels[max(0, n-2)]
	if n > 2 && len(a.labels[n-2]) <= 3 && len(a.labels[n-1]) == 2 { // example.co.uk
		owner = a.labels[n-3]
	}
	for _, b := range lookalikes {
		if strings.Contains(a.host, b) {
			r.add(0.8, "a name that looks like a brand's")
			break
		}
	}
	for _, b := range brands {
		if strings.Contains(a.host, b) && owner != b && !strings.HasPrefix(owner, b+"user") && !slices.Contains([]string{"googleapis", "microsoftonline", "amazonaws", "googleusercontent", "applemusic", "dropboxusercontent", "googleblog", "appleinsider"}, owner) {
			s := 0.3
			if strings.Contains(owner, "-") && strings.Contains(owner, b) || count > 0 {
				s = 0.6
			}
			r.add(s, "a brand in a host that is not the brand's")
			break
		}
	}
	if n >= 6 {
		r.add(0.25, "many names in a host")
	}
	if strings.Count(a.host, "-") >= 4 {
		r.add(0.2, "many hyphens in a host")
	}
}

// file judges what the path says it brings.
func (r *risk) file(a address) {
	name := strings.ToLower(a.path[strings.LastIndexByte(a.path, '/')+1:])
	parts := strings.Split(name, ".")
	n := len(parts)
	if n < 2 || !slices.Contains(programs, parts[n-1]) {
		return
	}
	switch {
	case n > 2 && slices.Contains(documents, strings.Trim(parts[n-2], " _-%20")):
		r.add(0.8, "a program that is named like a document")
	case parts[n-1] != "js" && parts[n-1] != "jar" && parts[n-1] != "com":
		r.add(0.2, "a program")
	}
}

// redirect judges a query that names another host.
func (r *risk) redirect(a address) {
	for pair := range strings.SplitSeq(a.query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if !slices.Contains(redirects, strings.ToLower(key)) {
			continue
		}
		v := strings.NewReplacer("%3a", ":", "%2f", "/").Replace(strings.ToLower(value[:min(len(value), 200)]))
		_, rest, ok := strings.Cut(v, "//")
		if !ok || strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "//") {
			continue
		}
		host := rest
		if k := strings.IndexAny(rest, "/?#:&"); k >= 0 {
			host = rest[:k]
		}
		if host != "" && !related(host, a.host) {
			r.add(0.55, "it leads on to another host")
			return
		}
	}
}

// related says whether two hosts end with the same two names.
func related(a, b string) bool {
	last := func(s string) string {
		parts := strings.Split(s, ".")
		return strings.Join(parts[max(0, len(parts)-2):], ".")
	}
	return last(a) == last(b)
}

// image judges an image in Markdown whose address carries what a reader would not see go.
func (r *risk) image(content string, start int, a address) {
	head := content[max(0, start-100):start]
	if !strings.HasSuffix(head, "](") || !strings.Contains(head, "![") {
		return
	}
	for pair := range strings.SplitSeq(a.query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		switch {
		case strings.ContainsAny(value, "{}[]") || len(value) > 40:
			r.add(0.6, "an image whose address carries data")
			return
		case slices.Contains([]string{"data", "q", "d", "leak", "exfil", "msg", "content", "secret", "prompt", "history"}, strings.ToLower(key)) && len(value) > 2:
			r.add(0.55, "an image whose address carries data")
			return
		}
	}
}

// punycode decodes a label as RFC 3492 says, or is empty.
func punycode(s string) string {
	const base, tmin, tmax, skew, damp = 36, 1, 26, 38, 700
	var out []rune
	if k := strings.LastIndexByte(s, '-'); k > 0 {
		out, s = []rune(s[:k]), s[k+1:]
	}
	n, i, bias := 128, 0, 72
	for pos := 0; pos < len(s); {
		old, w := i, 1
		for k := base; ; k += base {
			if pos == len(s) {
				return ""
			}
			d := strings.IndexByte("abcdefghijklmnopqrstuvwxyz0123456789", s[pos])
			if pos++; d < 0 || d > (1<<30-i)/w {
				return ""
			}
			i += d * w
			t := min(max(k-bias, tmin), tmax)
			if d < t {
				break
			}
			w *= base - t
		}
		size := len(out) + 1
		delta := (i - old) / 2
		if old == 0 {
			delta = i / damp
		}
		delta += delta / size
		k := 0
		for delta > (base-tmin)*tmax/2 {
			delta /= base - tmin
			k += base
		}
		bias = k + (base-tmin+1)*delta/(delta+skew)
		n += i / size
		i %= size
		if n > unicode.MaxRune {
			return ""
		}
		out = slices.Insert(out, i, rune(n))
		i++
	}
	return string(out)
}
