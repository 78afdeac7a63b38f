package pii

import (
	"crypto/sha256"
	"math/big"
	"strings"
)

// ibanLengths is the length of each country's account numbers.
const ibanLengths = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 " +
	"FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 " +
	"MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 " +
	"TN24 TR26 UA29 VA22 VG24 XK20 YE30"

// iban tries an account number: a country, its length, and a remainder of 1. Groups may have single blanks or hyphens
// between them.
func (s *scan) iban(i int) {
	start := s.words[i].start
	if !digitAt(s.content, start+2) || !digitAt(s.content, start+3) {
		return
	}
	country := strings.Index(ibanLengths, strings.ToUpper(s.content[start:start+2]))
	if country < 0 || country%5 != 0 {
		return
	}
	want := num([]byte(ibanLengths[country+2 : country+4]))
	var out [longest]byte
	n, end := 0, start
	for end < len(s.content) && n < want {
		c := s.content[end]
		switch {
		case digit(c):
			out[n] = c
			n++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			out[n] = c &^ 0x20
			n++
		case (c == ' ' || c == '-') && letter(s.content, end-1):
		default:
			return
		}
		end++
	}
	if n < want || letter(s.content, end) {
		return
	}
	if mod97(append(append([]byte{}, out[4:n]...), out[:4]...)) != 1 {
		return
	}
	s.judge(i, start, end, &ibanRule)
}

var ibanRule = rule{label: "IBAN_CODE", name: "iban: country, length, mod 97", alone: 0.95, told: 1, topics: ofIBAN | ofAccount}

// crypto tries the address of a wallet.
func (s *scan) crypto(i int) {
	start, end := s.words[i].start, s.words[i].end
	w := s.content[start:end]
	switch {
	case len(w) == 42 && strings.HasPrefix(w, "0x") && allHex(w[2:]):
		s.judge(i, start, end, &cryptoHex)
	case len(w) <= 90 && (strings.HasPrefix(w, "bc1") || strings.HasPrefix(w, "ltc1") || strings.HasPrefix(w, "tb1")) && bech32(w):
		s.judge(i, start, end, &cryptoCheck)
	case len(w) <= 35 && strings.IndexByte("13TLMmn2", w[0]) >= 0 && base58(w):
		s.judge(i, start, end, &cryptoCheck)
	}
}

var (
	cryptoHex   = rule{label: "CRYPTO", name: "crypto: 0x and 40 hexadecimal digits", alone: 0.6, told: 0.9, topics: ofCrypto}
	cryptoCheck = rule{label: "CRYPTO", name: "crypto: prefix, checksum", alone: 0.95, told: 1, topics: ofCrypto}
)

func allHex(s string) bool {
	for i := range len(s) {
		if !hex(s[i]) {
			return false
		}
	}
	return true
}

// base58 says whether the last four of 25 bytes are the beginning of the hash of the hash of the others.
func base58(w string) bool {
	n := new(big.Int)
	for i := range len(w) {
		v := strings.IndexByte("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", w[i])
		if v < 0 {
			return false
		}
		n.Mul(n, big.NewInt(58)).Add(n, big.NewInt(int64(v)))
	}
	var raw [25]byte
	if n.BitLen() > 8*len(raw) {
		return false
	}
	n.FillBytes(raw[:])
	sum := sha256.Sum256(raw[:21])
	sum = sha256.Sum256(sum[:])
	return [4]byte(sum[:4]) == [4]byte(raw[21:])
}

// bech32 says whether the checksum is that of BIP 173 or of BIP 350.
func bech32(w string) bool {
	sep := strings.LastIndexByte(w, '1')
	if sep < 1 || len(w)-sep < 7 {
		return false
	}
	sum := uint32(1)
	step := func(v byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for i := range sep {
		step(w[i] >> 5)
	}
	step(0)
	for i := range sep {
		step(w[i] & 31)
	}
	for i := sep + 1; i < len(w); i++ {
		v := strings.IndexByte("qpzry9x8gf2tvdw0s3jn54khce6mua7l", w[i])
		if v < 0 {
			return false
		}
		step(byte(v))
	}
	return sum == 1 || sum == 0x2bc830a3
}
