package pii

// rules are the numbers that shapes and checksums tell. Where a checksum lets one random number in ten pass, the
// number is a hit only beside a word that speaks of it; where shape and check are distinctive, it is one alone.
func rules() []rule {
	return append(append(americas(), europe()...), elsewhere()...)
}

func americas() []rule {
	return []rule{
		{label: "CREDIT_CARD", name: "card: grouped, issuer range, Luhn", check: card, alone: 0.9, told: 1, topics: ofCard,
			shapes: "9999_9999_9999_9999 9999_999999_99999 9999_999999_9999 9999_9999_9999_9999_999"},
		{label: "CREDIT_CARD", name: "card: issuer range, Luhn", check: card, alone: 0.6, told: 1, topics: ofCard,
			shapes: "9999999999999 99999999999999 999999999999999 9999999999999999 999999999999999999 9999999999999999999"},
		{label: "US_SSN", name: "ssn: 3-2-4, area and group in use", shapes: "999-99-9999", check: ssn, alone: 0.5, told: 0.95, topics: ofSocial},
		{label: "US_SSN", name: "ssn: nine digits, area and group in use", shapes: "999999999 999_99_9999", check: ssn, told: 0.85, topics: ofSocial},
		{label: "US_ITIN", name: "itin: 3-2-4, group in use", shapes: "999-99-9999", check: itin, alone: 0.6, told: 0.95, topics: ofTax | ofSocial},
		{label: "US_ITIN", name: "itin: nine digits, group in use", shapes: "999999999 999_99_9999", check: itin, told: 0.85, topics: ofTax | ofSocial},
		{label: "ABA_ROUTING_NUMBER", name: "aba: range, checksum", shapes: "999999999 9999-9999-9", check: aba, told: 0.95, topics: ofABA},
		{label: "US_BANK_NUMBER", name: "account: 8 to 17 digits", check: notSame, told: 0.5, topics: ofAccount,
			shapes: "99999999 999999999 9999999999 99999999999 999999999999 9999999999999 99999999999999 999999999999999 9999999999999999 99999999999999999"},
		{label: "US_NPI", name: "npi: Luhn with 80840", shapes: "9999999999", check: npi, told: 0.95, topics: ofNPI},
		{label: "US_MBI", name: "mbi: places of letters", shapes: "9AX9AX9AA99 9AX9-AX9-AA99", check: mbi, alone: 0.5, told: 0.95, topics: ofHealth | ofMedicare, upper: true},
		{label: "MEDICAL_LICENSE", name: "dea: registrant, checksum", shapes: "AA9999999", check: dea, told: 0.95, topics: ofDEA, upper: true},
		{label: "US_PASSPORT", name: "passport: a letter and eight digits, or nine", shapes: "A99999999 999999999", check: nil, told: 0.8, topics: ofPassport, upper: true},
		{label: "US_DRIVER_LICENSE", name: "driver: a state's form", told: 0.7, topics: ofDriver, upper: true,
			shapes: "A9999999 A999999999999 A99-99-9999 A999-9999-9999 999999999 99999999 A99999999 A999-999-99-999-9"},
		{label: "CA_SIN", name: "sin: Luhn", shapes: "999_999_999 999999999", check: caSIN, told: 0.95, topics: ofSIN},
	}
}

func europe() []rule {
	return []rule{
		{label: "UK_NHS", name: "nhs: mod 11", shapes: "9999999999 999_999_9999", check: nhs, told: 0.95, topics: ofNHS | ofHealth},
		{label: "UK_NINO", name: "nino: prefix and suffix in use", check: nino, alone: 0.5, told: 0.95, topics: ofSocial, upper: true,
			shapes: "AA999999A AA_99_99_99_A AA_999999_A"},
		{label: "UK_PASSPORT", name: "passport: nine digits or two letters and seven", shapes: "999999999 AA9999999", told: 0.82, topics: ofBritain, upper: true, check: nil},
		{label: "UK_DRIVING_LICENCE", name: "driver: name, birth date, initials", shapes: "XXXXX999999AX9AA XXXXX_999999_AX9AA", check: ukDriver, alone: 0.6, told: 0.95, topics: ofDriver, upper: true},
		{label: "UK_POSTCODE", name: "postcode: form", told: 0.6, topics: ofAddress, upper: true,
			shapes: "A9_9AA A99_9AA AA9_9AA AA99_9AA A9A_9AA AA9A_9AA"},
		{label: "ES_NIF", name: "nif: letter mod 23", shapes: "99999999A 99999999-A", check: nif, alone: 0.6, told: 0.95, topics: ofSpain | ofID},
		{label: "ES_NIE", name: "nie: letter mod 23", shapes: "A9999999A A-9999999-A", check: nie, alone: 0.7, told: 0.96, topics: ofSpain | ofID},
		{label: "ES_PASSPORT", name: "passport: three letters and six digits", shapes: "AAA999999", told: 0.8, topics: ofPassport, upper: true},
		{label: "IT_FISCAL_CODE", name: "fiscal code: check letter", shapes: "AAAAAA99A99A999A", check: fiscal, alone: 0.95, told: 1, topics: ofItaly},
		{label: "IT_VAT_CODE", name: "partita iva: Luhn", shapes: "AA99999999999", check: itVAT, alone: 0.7, told: 0.95, topics: ofItaly | ofTax},
		{label: "IT_VAT_CODE", name: "partita iva: Luhn", shapes: "99999999999", check: itVAT, told: 0.9, topics: ofItaly},
		{label: "IT_PASSPORT", name: "passport: two letters and seven digits", shapes: "AA9999999", told: 0.8, topics: ofPassport, upper: true},
		{label: "PL_PESEL", name: "pesel: date, checksum", shapes: "99999999999", check: pesel, alone: 0.4, told: 0.97, topics: ofPoland},
		{label: "DE_TAX_ID", name: "tax id: digits, mod 11,10", shapes: "99999999999 99_999_999_999", check: deTax, told: 0.93, topics: ofTax | ofGermany},
		{label: "DE_VAT_ID", name: "vat id: mod 11,10", shapes: "AA999999999", check: deVAT, alone: 0.7, told: 0.95, topics: ofTax, upper: true},
		{label: "DE_HEALTH_INSURANCE", name: "kvnr: Luhn", shapes: "A999999999", check: kvnr, told: 0.95, topics: ofHealth, upper: true},
		{label: "DE_SOCIAL_SECURITY", name: "pension insurance: date, checksum", shapes: "99999999A999 99_999999_A_999", check: deSocial, alone: 0.6, told: 0.95, topics: ofSocial, upper: true},
		{label: "DE_ID_CARD", name: "identity card: alphabet, check digit", shapes: "XXXXXXXXX XXXXXXXXXX", check: deDocument("LMNPRTVWXY"), told: 0.85, topics: ofGermany, upper: true},
		{label: "DE_PASSPORT", name: "passport: alphabet, check digit", shapes: "XXXXXXXXX XXXXXXXXXX", check: deDocument("CFGHJK"), told: 0.85, topics: ofPassport, upper: true},
		{label: "FR_NIR", name: "nir: month, mod 97", shapes: "9_99_99_99_999_999_99 999999999999999 9999999999999_99", check: nir, alone: 0.8, told: 1, topics: ofFrance | ofSocial},
		{label: "FR_SIREN", name: "siren: Luhn", shapes: "999999999 999_999_999", check: luhn, told: 0.9, topics: ofCompany},
		{label: "FR_SIRET", name: "siret: Luhn", shapes: "99999999999999 999_999_999_99999", check: luhn, told: 0.9, topics: ofCompany},
		{label: "FI_PERSONAL_IDENTITY_CODE", name: "hetu: date, mod 31", shapes: "999999-999X 999999+999X 999999A999X", check: hetu, alone: 0.8, told: 0.97, topics: ofScandinavia | ofID},
		{label: "SE_PERSONNUMMER", name: "personnummer: date, Luhn", shapes: "999999-9999 99999999-9999 999999+9999", check: personnummer, alone: 0.6, told: 0.97, topics: ofScandinavia | ofID},
		{label: "SE_PERSONNUMMER", name: "personnummer: date, Luhn", shapes: "9999999999 999999999999", check: personnummer, told: 0.95, topics: ofScandinavia},
		{label: "SE_ORGANISATIONSNUMMER", name: "organisationsnummer: Luhn", shapes: "999999-9999 9999999999", check: organisation, told: 0.9, topics: ofCompany},
		{label: "DK_CPR_NUMBER", name: "cpr: date", shapes: "999999-9999 9999999999", check: cpr, told: 0.9, topics: ofScandinavia},
	}
}

func elsewhere() []rule {
	return []rule{
		{label: "AU_ABN", name: "abn: mod 89, grouped", shapes: "99_999_999_999", check: abn, alone: 0.6, told: 0.97, topics: ofAustralia | ofTax},
		{label: "AU_ABN", name: "abn: mod 89", shapes: "99999999999", check: abn, told: 0.95, topics: ofAustralia},
		{label: "AU_ACN", name: "acn: checksum", shapes: "999_999_999 999999999", check: acn, told: 0.93, topics: ofAustralia | ofCompany},
		{label: "AU_TFN", name: "tfn: mod 11", shapes: "999_999_999 999999999", check: tfn, told: 0.92, topics: ofAustralia | ofTax},
		{label: "AU_MEDICARE", name: "medicare: checksum", shapes: "9999_99999_9 9999999999", check: auMedicare, told: 0.95, topics: ofMedicare},
		{label: "IN_PAN", name: "pan: kind of holder", shapes: "AAAAA9999A", check: pan, alone: 0.6, told: 0.95, topics: ofIndia | ofTax, upper: true},
		{label: "IN_AADHAAR", name: "aadhaar: Verhoeff, grouped", shapes: "9999_9999_9999", check: aadhaar, alone: 0.5, told: 0.98, topics: ofAadhaar},
		{label: "IN_AADHAAR", name: "aadhaar: Verhoeff", shapes: "999999999999", check: aadhaar, told: 0.95, topics: ofAadhaar},
		{label: "IN_GSTIN", name: "gstin: state, mod 36", shapes: "99AAAAA9999AXAX", check: gstin, alone: 0.9, told: 1, topics: ofIndia, upper: true},
		{label: "IN_PASSPORT", name: "passport: a letter and seven digits", shapes: "A9999999", told: 0.75, topics: ofPassport, upper: true},
		{label: "IN_VOTER", name: "voter: three letters and seven digits", shapes: "AAA9999999", told: 0.8, topics: ofIndia, upper: true},
		{label: "SG_NRIC_FIN", name: "nric: check letter", shapes: "A9999999A", check: nric, alone: 0.7, told: 0.97, topics: ofSingapore | ofID, upper: true},
		{label: "SG_UEN", name: "uen: check letter", shapes: "99999999A 999999999A A99AA9999A", check: uen, told: 0.95, topics: ofSingapore | ofCompany, upper: true},
		{label: "KR_RRN", name: "rrn: date, checksum", shapes: "999999-9999999", check: rrn, alone: 0.7, told: 0.97, topics: ofID},
		{label: "TR_NATIONAL_ID", name: "tckn: two checksums", shapes: "99999999999", check: tckn, alone: 0.45, told: 0.95, topics: ofID},
		{label: "TH_TNIN", name: "tnin: mod 11, grouped", shapes: "9-9999-99999-99-9 9_9999_99999_99_9", check: tnin, alone: 0.8, told: 0.97, topics: ofID},
		{label: "TH_TNIN", name: "tnin: mod 11", shapes: "9999999999999", check: tnin, told: 0.9, topics: ofID},
		{label: "ZA_ID_NUMBER", name: "south african id: date, Luhn", shapes: "9999999999999 999999_9999_999 999999_9999_99_9", check: zaID, alone: 0.45, told: 0.95, topics: ofID},
		{label: "NG_NIN", name: "nin: eleven digits", shapes: "99999999999", check: notSame, told: 0.8, topics: ofNIN},
		{label: "IMEI", name: "imei: Luhn", shapes: "999999999999999 99-999999-999999-9", check: imei, told: 0.96, topics: ofIMEI},
	}
}
