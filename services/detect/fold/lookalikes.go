package fold

// signs are marks that have a twin in ASCII; code depends on quotes and brackets, so they stay marks.
var signs = map[rune]string{
	'‘': "'", '’': "'", '‚': "'", '‛': "'", '′': "'", 'ʼ': "'", '＇': "'", '´': "'",
	'“': "\"", '”': "\"", '„': "\"", '«': "\"", '»': "\"", '″': "\"", '「': "\"", '」': "\"", '『': "\"", '』': "\"",
	'‐': "-", '‑': "-", '‒': "-", '–': "-", '—': "-", '―': "-", '−': "-", '﹣': "-",
	'⁄': "/", '∕': "/", '∣': "|", '❘': "|", '｜': "|", '│': "|", '▁': "_", '‹': "<", '›': ">", '〈': "<", '〉': ">",
	'《': "<", '》': ">", '【': "[", '】': "]", '〔': "[", '〕': "]", '。': ".", '、': ",", '‧': ".", '•': " ", '·': ".",
	'\u2028': "\n", '\u2029': "\n", '\u0085': "\n",
}

// lookalikes are letters that are read as others, none of them a matter of width, accent or style, which Unicode's own
// decomposition knows. Pairs of a letter and what it is read as.
var lookalikes = pairs(
	// Cyrillic
	"аa вb сc ԁd еe һh іi јj кk ӏl мm нh оo рp ԛq гr ѕs тt уy ѵv ԝw хx ьb пn иu дd зz бb єe ґr ёe ҽe "+
		"АA ВB СC ЕE НH ІI ЈJ КK МM ОO РP ЅS ТT УY ХX ҮY ԜW ԚQ ӀI ҺH ԌG ЗZ ГR "+
		// Greek
		"αa βb ϲc εe ηn ιi κk νv οo ρp τt υu χx γy ωw σo ϳj ϵe δd θo λl μu πn ςs ϑo "+
		"ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX ϹC ϺM "+
		// Armenian, Cherokee, others
		"աw հh ոn օo սu ցg գq զq ղn յj քp ƿp ᎪA ᏴB ᏟC ᎠD ᎬE ᏀG ᎻH ᏆI ᎫJ ᏦK ᏞL ᎷM ᏢP ᎡR ᏚS ᎢT ᏙV ᎳW ᎽY ᏃZ ꓮA ꓐB ꓚC ꓓD ꓰE ꓝF ꓖG ꓧH ꓲI ꓙJ ꓗK ꓡL ꓟM ꓠN ꓳO ꓑP ꓣR ꓢS ꓔT ꓴU ꓦV ꓪW ꓫX ꓬY ꓜZ "+
		// Latin that Unicode does not take apart: small capitals, phonetic letters, strokes
		"ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ɢg ʜh ɪi ᴊj ᴋk ʟl ᴍm ɴn ᴏo ᴘp ꞯq ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz "+
		"ɑa ƅb ɓb ƈc ɗd ɖd ɛe ƒf ɡg ɠg ɦh ıi ɩi ɨi ɭl ƙk ɱm ɳn ɲn ɵo ƥp ʠq ɾr ɽr ʂs ƭt ʈt ʋv ɯm ʌv ʍm ƴy ʐz ʇt ɹr ǝe ɐa ɔo ʎy ʞk ɥh ɟj ƨs "+
		"øo łl đd ħh ŧt ƶz ƀb ɍr ɏy ɇe ȼc ⱥa ꞓc ØO ŁL ĐD ĦH ŦT ƵZ ",
	map[rune]string{'ß': "ss", 'ẞ': "ss", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe", 'þ': "th", 'Þ': "th", 'ð': "d", 'Ð': "d"},
)

// pairs reads the table above, all in lower case, and adds what is more than one letter.
func pairs(table string, more map[rune]string) map[rune]string {
	var left rune
	for _, r := range table {
		switch {
		case r == ' ':
			left = 0
		case left == 0:
			left = r
		default:
			more[left] = string(lower(byte(r)))
		}
	}
	return more
}

// oddLatin says whether a letter is of Latin but of no language's everyday alphabet.
func oddLatin(r rune) bool {
	switch r {
	case 'ß', 'ẞ', 'æ', 'Æ', 'œ', 'Œ', 'þ', 'Þ', 'ð', 'Ð', 'ø', 'Ø', 'ł', 'Ł', 'đ', 'Đ', 'ħ', 'Ħ', 'ŧ', 'Ŧ', 'ı':
		return false
	}
	return true
}
