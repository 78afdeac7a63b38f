package code

import (
	"regexp"
	"strings"
)

// rule is a shape that begins with one of its keys. The pattern sees what is from there, in small letters.
type rule struct {
	label   string
	name    string
	keys    string // separated by ¦
	pattern *regexp.Regexp
	score   float64
	word    bool                           // the key begins a word
	context func(lower string, i int) bool // what must hold around the key; nil if nothing
	key     string
	number  int
}

func rules() []rule {
	var all []rule
	for _, group := range [][]rule{sqlRules(), commandRules(), injectionRules(), xssRules()} {
		all = append(all, group...)
	}
	return all
}

func shape(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + pattern + `)`) }

func sqlRules() []rule {
	return []rule{
		{label: sql, name: "sql: a quote, or, and a truth", score: 0.9, keys: `'¦"`,
			pattern: shape(`['"]\)*\s*(?:or|and|\|\||&&)\s*\(*\s*['"]?\w+['"]?\s*(?:=|<|>|like|is\b)\s*['"]?\w*`), context: connects},
		{label: sql, name: "sql: or and a truth of numbers", score: 0.85, keys: "or ¦or(¦and ", word: true, pattern: shape(`(?:or|and)[\s(]+(\d+)\s*=\s*\d+(?:\s*--|\s*#|\s*$|\s*;|\s*\)|\s+)`), context: sameNumber},
		{label: sql, name: "sql: union select of columns that are not there", score: 0.9, keys: "union", word: true,
			pattern: shape(`union(?:\s|/\*[^*]{0,20}\*/|\+|%20)+(?:(?:all|distinct)(?:\s|\+|%20)+)?select(?:\s|\+|%20)+(?:null|\d+\s*,|@@|[^;\n]{0,120}(?:information_schema|--|\bpassword\b|\bversion\(\)|\bchar\(|sqlite_master))`)},
		{label: sql, name: "sql: a second statement behind a value", score: 0.9, keys: ";",
			pattern: shape(`;[ \t]*(?:drop[ \t]+(?:table|database|schema|user)|delete[ \t]+from|truncate[ \t]+table|exec(?:ute)?[ \t]+\w|shutdown\b|alter[ \t]+table|insert[ \t]+into|update[ \t]+\w+[ \t]+set|waitfor[ \t]+delay|select[ \t]+pg_sleep)[^\n]{0,60}`), context: behindValue},
		{label: sql, name: "sql: a wait that tells", score: 0.85, keys: "waitfor delay¦benchmark(¦pg_sleep(¦and sleep(¦or sleep(¦select sleep(¦dbms_pipe.receive", word: true,
			pattern: shape(`(?:waitfor delay\s*'|benchmark\(\s*\d+|pg_sleep\(\s*\d+|(?:and|or|select) sleep\(\s*\d+|dbms_pipe\.receive_message\()`)},
		{label: sql, name: "sql: commands of the system", score: 0.9, keys: "xp_cmdshell¦into outfile¦into dumpfile¦extractvalue(¦updatexml(¦load_file(", word: true,
			pattern: shape(`(?:xp_cmdshell\b|into (?:out|dump)file\s+['"]|(?:extractvalue|updatexml)\([^)\n]{0,60}(?:concat|select)|load_file\(\s*(?:['"]|0x|char))`)},
		{label: sql, name: "sql: a quote and a comment", score: 0.7, keys: "'", pattern: shape(`'\)*[ \t]*(?:--|#|/\*)(?:\s|$|')`), context: openQuote},
	}
}

// follows says whether one of the bytes of set is the first behind the byte at i, brackets and blanks aside: asked before
// a pattern that needs one, which takes longer to say no.
func follows(lower string, i int, set string) bool {
	rest := strings.TrimLeft(lower[i+1:min(len(lower), i+window)], ") \t\n\f\r")
	return rest != "" && strings.IndexByte(set, rest[0]) >= 0
}

// connects says whether or, and, || or && may be behind the quote at i.
func connects(lower string, i int) bool { return follows(lower, i, "oa|&") }

// sameNumber says whether both sides of = are one number: anything else may be said in a sentence.
func sameNumber(lower string, i int) bool {
	text := lower[i:min(len(lower), i+60)]
	if rest := strings.TrimLeft(text, "andor( \t\n\f\r"); rest == "" || rest[0] < '0' || rest[0] > '9' {
		return false
	}
	m := regexpNumbers.FindStringSubmatch(text)
	return m != nil && m[1] == m[2]
}

var regexpNumbers = regexp.MustCompile(`^\w+[\s(]+(\d+)\s*=\s*(\d+)`)

// behindValue says whether a value may end before i, by a quote, a digit or a bracket, and a statement begin behind it.
func behindValue(lower string, i int) bool {
	if !follows(lower, i, "dteasiuw") {
		return false
	}
	before := strings.TrimRight(lower[max(0, i-8):i], " \t")
	return before != "" && strings.IndexByte("'\")0123456789", before[len(before)-1]) >= 0
}

// openQuote says whether the quote at i has no partner in its line.
func openQuote(lower string, i int) bool {
	line := lower[max(0, i-120):i]
	line = line[strings.LastIndexByte(line, '\n')+1:]
	return i > 0 && wordByte(lower[i-1]) && strings.Count(line, "'")%2 == 0
}

func commandRules() []rule {
	return []rule{
		{label: command, name: "shell: a download into a shell", score: 0.9, keys: "curl ¦wget ¦fetch ", word: true,
			pattern: shape(`(?:curl|wget|fetch)\s[^\n;|]{1,220}\|\s*(?:sudo\s+)?(?:-\w+\s+)?(?:ba|z|da|k)?(?:sh|python3?|perl|node|php)\b`)},
		{label: command, name: "shell: a download run by a shell", score: 0.9, keys: "sh -c ¦sh <(¦source <(", word: false, pattern: shape(`(?:sh -c\s*["']?\s*\$\((?:curl|wget)|(?:sh|source) <\((?:curl|wget))[^\n]{0,80}`)},
		{label: command, name: "shell: removes all", score: 0.9, keys: "rm ", word: true,
			pattern: shape(`rm\s+(?:-[a-z-]+\s+)*-(?:[a-z]*[rf][a-z]*|-recursive|-no-preserve-root)\s+(?:-[a-z-]+\s+)*(?:/(?:\s|$|\*|[;&|'"]|etc\b|var\b|usr\b|home\b|boot\b)|~|\*|\$home|\.(?:\s|$|/\*))`)},
		{label: command, name: "shell: a reverse shell", score: 0.95, keys: "/dev/tcp/¦bash -i¦nc -¦ncat ¦netcat ¦mkfifo ¦socat ¦0<&196", word: true,
			pattern: shape(`(?:/dev/tcp/[\w.$]+/\d+|bash -i\s*[>&]|(?:nc|ncat|netcat)\s+(?:-\w+\s+|[\w.]+\s+|\d+\s+){0,5}-\w*[ec]\w*\s+[/\w]|mkfifo\s+/tmp/|socat\s[^\n]{0,100}exec:|0<&196)`)},
		{label: command, name: "shell: a reverse shell in a script", score: 0.9, keys: "python -c¦python3 -c¦perl -e¦ruby -rsocket¦php -r", word: true,
			pattern: shape(`(?:python3?|perl|ruby|php)\s+-\w+\s*["']?[^\n]{0,60}(?:socket|fsockopen|os\.system|pty\.spawn|tcpsocket)[^\n]{0,80}`)},
		{label: command, name: "powershell: hidden or downloaded code", score: 0.9, keys: "powershell¦iex ¦iex(¦invoke-expression¦pwsh ", word: true,
			pattern: shape(`(?:(?:powershell|pwsh)(?:\.exe)?\s[^\n]{0,80}(?:-e(?:nc|ncodedcommand)?\s+[a-z0-9+/=]{8,}|downloadstring|iex\b|-w(?:indowstyle)?\s+hidden)|(?:iex|invoke-expression)\s*\(*\s*(?:new-object|irm\b|iwr\b|invoke-web|\[|\$))`)},
		{label: command, name: "windows: a tool that brings code", score: 0.85, keys: "certutil¦bitsadmin¦mshta¦regsvr32¦rundll32", word: true,
			pattern: shape(`(?:certutil(?:\.exe)?\s[^\n]{0,40}-(?:urlcache|decode)|bitsadmin\s[^\n]{0,20}/transfer|mshta(?:\.exe)?\s+(?:http|vbscript|javascript)|regsvr32\s[^\n]{0,30}/i:http|rundll32(?:\.exe)?\s+javascript)[^\n]{0,60}`)},
		{label: command, name: "shell: writes over a disk, or starves it", score: 0.9, keys: "dd if=¦mkfs¦:(){¦> /dev/sd¦>/dev/sd¦chmod -r 777 /¦chmod 777 /", word: false,
			pattern: shape(`(?:dd if=/dev/(?:zero|u?random) of=/dev/\w+|mkfs(?:\.\w+)?\s+(?:-\w+\s+)*/dev/\w+|:\(\)\s*\{\s*:\s*\|\s*:|>\s*/dev/sd[a-z]|chmod (?:-r )?777 /(?:\s|$))`)},
		{label: command, name: "shell: encoded commands into a shell", score: 0.9, keys: "base64 -d¦base64 --decode¦xxd -r", word: true, pattern: shape(`(?:base64|xxd)\s[^\n|]{0,60}\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b`)},
		{label: command, name: "shell: a second command behind a value", score: 0.8, keys: ";¦&¦`", word: false,
			pattern: shape(`(?:;|&&?|` + "`" + `)[ \t]*(?:id[ \t]*(?:` + "`" + `|;|$|\n)|whoami\b|uname[ \t]+-a|cat[ \t]+/etc/|cat\$\{ifs\}|net[ \t]+user\b|nc[ \t]+-|ping[ \t]+-[cn][ \t]+\d+|wget[ \t]+https?://|curl[ \t]+https?://\S+[ \t]*(?:$|\n)|sleep[ \t]+\d+[ \t]*(?:` + "`" + `|;|#|$)|nslookup[ \t])[^\n]{0,40}`), context: behindCommand},
		{label: command, name: "shell: a second command behind a pipe", score: 0.75, keys: "|", word: false,
			pattern: shape(`\|{1,2}[ \t]*(?:id[ \t]*(?:;|$|\n)|whoami\b|cat[ \t]+/etc/(?:passwd|shadow)|nc[ \t]+[\w.-]+[ \t]+\d+|bash[ \t]+-i|net[ \t]+user\b)[^\n]{0,30}`)},
		{label: command, name: "shell: a command in place of a value", score: 0.85, keys: "$(", word: false, pattern: shape(`\$\((?:curl|wget|whoami|id\)|cat\s+/etc/|nc\s|nslookup|rm\s+-|uname|sleep\s+\d)[^)\n]{0,80}\)?`)},
		{label: command, name: "shell: reads accounts", score: 0.7, keys: "cat /etc/¦type c:\\", word: true, pattern: shape(`(?:cat\s+/etc/(?:passwd|shadow|sudoers)|type\s+c:\\(?:windows\\(?:win\.ini|system32)|boot\.ini))`)},
	}
}

// behindCommand says whether something is before i in its line, and a command may be behind it.
func behindCommand(lower string, i int) bool {
	return follows(lower, i, "&iwucnps") && i > 0 && lower[i-1] != '\n' && strings.TrimRight(lower[max(0, i-4):i], " \t") != ""
}

func injectionRules() []rule {
	const input = `(?:base64_decode|gzinflate|str_rot13|\$_(?:get|post|request|cookie|server)|request\b|req\.|params\b|(?:raw_)?input\(|atob\(|compile\(|__import__|location\.|document\.|window\.name|unescape\(|string\.fromcharcode|open\(|sys\.argv|process\.argv|bytes\.fromhex|codecs\.decode|user_?input|urllib)`
	return []rule{
		{label: injection, name: "code: evaluates input", score: 0.9, keys: "eval¦exec¦assert(¦new function(¦execfile(¦system(¦passthru(¦shell_exec(¦popen(¦function(", word: true,
			pattern: shape(`(?:eval|exec|assert|new function|execfile|system|passthru|shell_exec|popen|function)\s*\(\s*[^)\n]{0,40}?` + input + `[^\n]{0,60}`)},
		{label: injection, name: "python: imports to run", score: 0.9, keys: "__import__¦__class__¦__subclasses__¦__builtins__¦__globals__", word: false,
			pattern: shape(`(?:__import__\(\s*['"](?:os|subprocess|socket|pty|builtins|sys)['"]\s*\)|__class__\s*\.\s*__(?:mro|base|subclasses)|__subclasses__\(|__builtins__\s*[.\[]|__globals__\s*[.\[])[^\n]{0,60}`)},
		{label: injection, name: "python: a shell with input", score: 0.8, keys: "os.system¦os.popen¦subprocess.", word: true,
			pattern: shape(`(?:os\.(?:system|popen)\(\s*(?:f["']|[^)\n]{0,60}(?:request|input\(|sys\.argv|["']\s*(?:\+|%)|\.format\())|subprocess\.\w+\([^\n]{0,120}shell\s*=\s*true)[^\n]{0,40}`)},
		{label: injection, name: "runtime: runs a program", score: 0.8, keys: "runtime.getruntime¦child_process¦process.mainmodule¦pickle.loads(¦yaml.load(¦marshal.loads(¦unserialize(", word: false,
			pattern: shape(`(?:runtime\.getruntime\(\)\s*\.\s*exec\(|child_process['"]?\)?\s*\.\s*(?:exec|spawn)\w*\(|process\.mainmodule\.require|(?:pickle\.loads|yaml\.load|marshal\.loads|unserialize)\(\s*[^)\n]{0,30}(?:request|input|base64|\$_|data\b|body))[^\n]{0,60}`)},
		{label: injection, name: "php: a shell in a page", score: 0.9, keys: "<?php¦<?=", word: false, pattern: shape(`<\?(?:php|=)[^\n]{0,120}(?:system|shell_exec|passthru|eval|exec|popen|assert)\s*\(`)},
		{label: injection, name: "template: computes", score: 0.85, keys: "{{¦${¦#{¦<%=¦{%¦*{", word: false,
			pattern: shape(`(?:\{\{\s*(?:\d+\s*\*\s*['"]?\d+|[^}\n]{0,60}(?:__\w+__|config\.items|\.constructor|\|\s*attr\(|lipsum|cycler|joiner|self\._|request\.application))|[$#*]\{\s*(?:\d+\s*\*\s*\d+\s*\}|t\(java|"freemarker|jndi:|[^}\n]{0,60}(?:getclass\(|getruntime|class\.forname|java\.lang))|<%=\s*(?:\d+\s*\*\s*\d+|system|` + "`" + `|file\.)|\{%\s*[^%\n]{0,60}(?:__\w+__|import\s+os))[^\n]{0,60}`)},
		{label: injection, name: "log: a lookup", score: 0.95, keys: "${jndi¦${${¦${lower:¦${env:", word: false, pattern: shape(`\$\{(?:jndi:(?:ldaps?|rmi|dns|iiop|nis|corba)|(?:\$\{(?:lower|upper|::-|env:)[^}\n]{0,20}\}){2,}|(?:lower|env):[^}\n]{0,20}\}?[^\n]{0,20}jndi)[^\n]{0,60}`)},
		{label: injection, name: "path: leaves the directory", score: 0.8, keys: "../¦..\\¦..%2f¦%2e%2e¦..%5c¦....//¦..%252f", word: false,
			pattern: shape(`(?:(?:\.\./){4,}|(?:\.\.\\){4,}|(?:%2e%2e(?:%2f|%5c|/|%252f)|\.\.(?:%2f|%5c|%252f)){3,}|(?:\.\.\.\.//){2,}|(?:(?:\.\.|%2e%2e)(?:/|\\|%2f|%5c|%252f)){1,}(?:etc/(?:passwd|shadow|hosts)|etc%2fpasswd|windows[\\/]|boot\.ini|proc/self|\.ssh/|\.env\b|web\.config|web-inf))[\w./\\%-]{0,60}`)},
		{label: injection, name: "path: a scheme that reads or runs", score: 0.85, keys: "file:///¦php://¦expect://¦phar://¦gopher://¦<!entity", word: false,
			pattern: shape(`(?:file:///(?:etc/(?:passwd|shadow|hosts)|c:/windows|proc/)|php://(?:filter|input)|expect://\w+|phar://\S+|gopher://\S+:\d+|<!entity\s+%?\s*\w+\s+system\b)[^\s"'>]{0,60}`)},
	}
}

func xssRules() []rule {
	const act = `(?:alert|prompt|confirm|eval|fetch|document|window|location|top\[|self\[|this\.src\s*=|atob|import\(|settimeout|xmlhttp|new\s+image|navigator|string\.fromcharcode|parent\.)`
	return []rule{
		{label: xss, name: "html: script that acts", score: 0.85, keys: "<script", word: false, pattern: shape(`<script\b[^>\n]{0,100}>[^<\n]{0,120}` + act + `[^<\n]{0,80}(?:</script\s*>)?`)},
		{label: xss, name: "html: breaks out of a value into script", score: 0.9, keys: `">¦'>`, word: false, pattern: shape(`["']>\s*<(?:script|svg|img|iframe|body|details|video|math|object|embed)\b[^\n]{0,120}(?:script|on\w+\s*=|src\s*=)[^\n]{0,60}`)},
		{label: xss, name: "html: an event that acts", score: 0.85, keys: "onerror¦onload¦onclick¦onmouseover¦onfocus¦ontoggle¦onstart¦onanimation¦onpointer¦onkey¦oninput¦onbegin¦onpageshow¦onmouseenter", word: true,
			pattern: shape(`on\w+\s*=\s*["'` + "`" + `]?\s*(?:javascript:)?` + act + `[^>\n]{0,60}`)},
		{label: xss, name: "html: an address that runs script", score: 0.85, keys: "javascript:¦vbscript:", word: true, pattern: shape(`(?:javascript|vbscript):\s*(?://[^\n]{0,20})?` + act + `[^\s>"]{0,60}`)},
		{label: xss, name: "html: a frame of script", score: 0.85, keys: "srcdoc=¦data:text/html", word: true, pattern: shape(`(?:srcdoc=\s*["'][^\n]{0,60}(?:<script|on\w+=|&lt;script)|data:text/html[;,][^\n]{0,80}(?:script|base64))[^\s>"']{0,60}`)},
		{label: xss, name: "html: script, encoded", score: 0.8, keys: "%3cscript¦&lt;script¦\\u003cscript¦%3csvg¦%3cimg", word: false, pattern: shape(`(?:%3c|&lt;|\\u003c)(?:script|svg|img)[^\s]{0,60}(?:alert|prompt|confirm|onerror|onload|document|fetch|eval)[^\s]{0,60}`)},
	}
}
