//! Tokens of the RFCs and of PyJWT, tokens made here for what their claims say, and what is no token.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;
use crate::permissions::{Action, Who};

/// Public keys and tokens that PyJWT made of `{"sub":"anna","iss":"issuer","aud":["mqtt","x"],"exp":2000000000}`.
const MADE_BY_PYJWT: &[(&str, &str, &str)] = &[
    (
        "RS256",
        "-----BEGIN PUBLIC KEY-----\n\
         MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0UYy/cea8VIFjbh6lyMF\n\
         67hZBq+/wrG6UdE/udn8SIUy89XQ8iWlnb5Cb/Xth2+o0jcRbYOQ//2KAujdHGVa\n\
         MhGULfCWJ18rILx3dlwByfClZ2IO1Xq3kUPOpTAQxgfcEe6oPQ5G85suKnk0/gd9\n\
         IYrQhT6+ILMNA02rVat07W11Lx7mtDTpWuLfZws4w7CW9kKPEqt0e295e7urPUpR\n\
         a9Vt0qRw516QkivWAIccI/i3cWPg3XaSLkfttSjX8L1EMPn75jlyjLsso9LGpAuW\n\
         +S1nvSP0gylb04lDRwV1QXi0tCboD9wgHmc0SbyTaAOidODIRf5aEexX2ksZinhO\n\
         sQIDAQAB\n\
         -----END PUBLIC KEY-----\n",
        "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhbm5hIiwiaXNzIjoiaXNzdWVyIiwiYXVkIjpbIm1xdHQiLCJ4Il0sImV4cCI6MjAwMDAwMDAwMH0.v01rzmHEpwX-QpZMkuONlIvyKRp03I6MWG0WyHoAtzIIu09eWyGcNALyv3jINgZGE4UVZa6fNa2IzERy0LNvU9ixup_nGRAWOOfHaSZBtqwuinSXNfslrNIlu1Mk84X54XLeiXyOzB-TTvOuXlZlRCddecxXREEBO8l0ybpZ6ygdFAx6Jhc0AcGV3r4miKiOU0hPIq8GrleHl2GMgPPU03YJ8CzLY4kC15Iv4IPl79Adrx6veZxM1yiMQlCSVR_ufrIXqcU30sTsoX4bheZ51rNqe5wazlhiH8c9RafvBDaDTKZjGAv3kPEHhMplena_oIuzyg-LecuUOhBBrynnPg",
    ),
    (
        "PS512",
        "-----BEGIN PUBLIC KEY-----\n\
         MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0UYy/cea8VIFjbh6lyMF\n\
         67hZBq+/wrG6UdE/udn8SIUy89XQ8iWlnb5Cb/Xth2+o0jcRbYOQ//2KAujdHGVa\n\
         MhGULfCWJ18rILx3dlwByfClZ2IO1Xq3kUPOpTAQxgfcEe6oPQ5G85suKnk0/gd9\n\
         IYrQhT6+ILMNA02rVat07W11Lx7mtDTpWuLfZws4w7CW9kKPEqt0e295e7urPUpR\n\
         a9Vt0qRw516QkivWAIccI/i3cWPg3XaSLkfttSjX8L1EMPn75jlyjLsso9LGpAuW\n\
         +S1nvSP0gylb04lDRwV1QXi0tCboD9wgHmc0SbyTaAOidODIRf5aEexX2ksZinhO\n\
         sQIDAQAB\n\
         -----END PUBLIC KEY-----\n",
        "eyJhbGciOiJQUzUxMiIsImtpZCI6ImsiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhbm5hIiwiaXNzIjoiaXNzdWVyIiwiYXVkIjpbIm1xdHQiLCJ4Il0sImV4cCI6MjAwMDAwMDAwMH0.MDUdrEjN7mnHv92PMoPjmr8MBMP_-dXN8qtUlr4mfUPNnStJs0FLfQO4bCBVKn9OzCFy8XWdqqVRBQy_Z363cAibfwtcsqO4ghtpStwNaNxJEUnRVjO3HSPtT3ZOCqCSNeun62loSL4bYDChRoqGw6d6uHGQLG8ghXc87Rtq0WM6M4QS86YIsULnM0mx55_hc3of5rhx_JDyQ8DbYsR-OBPEC-p6eFvF6TOxZ5AEdS6UqbtLKF6ZKFS2QKKd1Agoc1Wzmntgi4Ns_8WChrMmmTESdncsBaj8o_WmGS0KKfjjSOQzTpWbOqwEPt-QHyv77JGwvEiCRx-qm98jaLEeHA",
    ),
    (
        "ES256",
        "-----BEGIN PUBLIC KEY-----\n\
         MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEPPNigKtf6Dvlr4wzbUCLanAP7Dmf\n\
         9y0ImaaZQATYrSrkwi6pYrilfQLCeGHsz1feGxYiwXixq9+5zoIsHxV8qQ==\n\
         -----END PUBLIC KEY-----\n",
        "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhbm5hIiwiaXNzIjoiaXNzdWVyIiwiYXVkIjpbIm1xdHQiLCJ4Il0sImV4cCI6MjAwMDAwMDAwMH0.DJFWv-0EXIJI-0lgoLHtdbNp5GNhxHQ7m6Oq4WPEBVMY9MFDvcVHrPrez2MOXHbf_psmhO0Y4GCobAlzdQbZRg",
    ),
    (
        "ES384",
        "-----BEGIN PUBLIC KEY-----\n\
         MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEuPkn1P28ebVE/lCLlsZmSNJ81IxF3uWS\n\
         9u+tPKV2lnyWyOmddpG0kMB2oWD6sx0j6BpDn4PjsJ0UWidyjMTdnjjaBN348ukd\n\
         qQAKd62yw5L8MxJEskTF3qvjYbSCLM22\n\
         -----END PUBLIC KEY-----\n",
        "eyJhbGciOiJFUzM4NCIsImtpZCI6ImsiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhbm5hIiwiaXNzIjoiaXNzdWVyIiwiYXVkIjpbIm1xdHQiLCJ4Il0sImV4cCI6MjAwMDAwMDAwMH0._vd2IVN9hBlz2MtJuz5LvTIPGHCsHflAAi0A1snSWb6pNWAALQtkPBVrn2cM3Hi8ZpqWnmxwGs2omm2KNt2OpcdPf0d38fHG2kSaFF42JoLete8uSJ50owb8WOFbCPK1",
    ),
    (
        "EdDSA",
        "-----BEGIN PUBLIC KEY-----\n\
         MCowBQYDK2VwAyEA2vPcnN9TuUMo2ZbEzhIjjVUZddfBEp2aALK54NSuqCM=\n\
         -----END PUBLIC KEY-----\n",
        "eyJhbGciOiJFZERTQSIsImtpZCI6ImsiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhbm5hIiwiaXNzIjoiaXNzdWVyIiwiYXVkIjpbIm1xdHQiLCJ4Il0sImV4cCI6MjAwMDAwMDAwMH0.BUMswHqKxpCFt7SY2Q41JaQxxgEdHr6JrPTfU7fQApnIdPnQ3q-Lw_P34_QVd0A2WpJvaKJj6rXmkSgr8Y8hBg",
    ),
];

const SECRET: &[u8] = b"a secret of thirty-two bytes, now";

fn verifier(source: KeySource<'_>, claims: Claims) -> Verifier {
    Verifier::new(&[source], claims).unwrap()
}

/// A token signed here with HS256.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
}

fn verify(claims: Claims, token: &str, now: u64) -> Result<Bearer, Rejection> {
    verifier(KeySource::Secret(SECRET), claims).verify(token.as_bytes(), now)
}

#[test]
fn signatures_of_pyjwt_are_known_by_their_key_and_no_other() {
    let claims = || Claims {
        audience: Some("mqtt".to_owned()),
        issuer: Some("issuer".to_owned()),
        ..Claims::default()
    };
    for (algorithm, pem, token) in MADE_BY_PYJWT {
        let own = verifier(KeySource::Pem(pem.as_bytes()), claims());
        let bearer = own.verify(token.as_bytes(), 1_999_999_999).unwrap();
        assert_eq!(
            (bearer.user_name.as_str(), bearer.expires_at),
            ("anna", Some(2_000_000_030)),
            "{algorithm}"
        );
        assert_eq!(own.verify(token.as_bytes(), 2_000_000_030).unwrap_err(), Rejection::Expired);
        // Each character of the signature counts, but for the last, whose low bits are none.
        let signature = token.rfind('.').unwrap() + 1;
        for at in [signature, signature + 20, token.len() - 2] {
            let mut damaged = token.as_bytes().to_vec();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(own.verify(&damaged, 0).unwrap_err(), Rejection::Signature, "{algorithm} {at}");
        }
        for (other, pem, _) in MADE_BY_PYJWT.iter().filter(|(_, other, _)| other != pem) {
            let stranger = verifier(KeySource::Pem(pem.as_bytes()), claims());
            let rejection = stranger.verify(token.as_bytes(), 0).unwrap_err();
            assert!(
                matches!(rejection, Rejection::UnknownKey | Rejection::Signature),
                "{algorithm} by {other}"
            );
        }
        // A public key is no secret: nobody signs with it.
        let confused = verifier(KeySource::Secret(pem.as_bytes()), claims());
        assert_eq!(confused.verify(token.as_bytes(), 0).unwrap_err(), Rejection::UnknownKey);
    }
}

/// RFC 7515, A.1 and A.3, and RFC 8037, A.4: keys and tokens.
const OF_THE_RFCS: &[(&str, &str, bool)] = &[
    (
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        true,
    ),
    (
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        true,
    ),
    // Its payload is a sentence and no claims, so that is what is wrong, and not the signature.
    (
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        false,
    ),
];

#[test]
fn tokens_of_the_rfcs_are_good_under_their_keys() {
    for (key, token, has_claims) in OF_THE_RFCS {
        let set = format!("{{\"keys\":[{key}]}}");
        let claims = Claims { user_name: "iss".to_owned(), ..Claims::default() };
        let verdict =
            verifier(KeySource::Jwks(set.as_bytes()), claims).verify(token.as_bytes(), 1_300_819_379);
        match verdict {
            Ok(bearer) => assert!(*has_claims && bearer.user_name == "joe"),
            Err(rejection) => {
                assert!(!has_claims && rejection == Rejection::Malformed, "{rejection} {token}")
            }
        }
    }
}

#[test]
fn a_set_gives_the_key_that_a_token_names() {
    let key = |id: &str, secret: &[u8], more: &str| {
        format!(r#"{{"kty":"oct","kid":"{id}","k":"{}"{more}}}"#, URL_SAFE_NO_PAD.encode(secret))
    };
    let other = [7; 32];
    let token = |kid: &str| signed(&format!(r#"{{"alg":"HS256"{kid}}}"#), r#"{"sub":"a","exp":100}"#);
    let rows = [
        (vec![key("one", SECRET, ""), key("two", &other, "")], r#","kid":"one""#, Ok(())),
        (vec![key("one", SECRET, ""), key("two", &other, "")], r#","kid":"two""#, Err(Rejection::Signature)),
        (
            vec![key("one", SECRET, ""), key("two", &other, "")],
            r#","kid":"three""#,
            Err(Rejection::UnknownKey),
        ),
        (vec![key("two", &other, ""), key("one", SECRET, "")], "", Ok(())),
        (vec![key("two", &other, ""), key("one", SECRET, r#","use":"enc""#)], "", Err(Rejection::Signature)),
        (
            vec![key("two", &other, ""), key("one", SECRET, r#","key_ops":["sign"]"#)],
            "",
            Err(Rejection::Signature),
        ),
        (vec![key("one", SECRET, r#","use":"sig","key_ops":["verify"]"#)], "", Ok(())),
    ];
    for (keys, kid, expected) in rows {
        let set = format!("{{\"keys\":[{}]}}", keys.join(","));
        let verifier = verifier(KeySource::Jwks(set.as_bytes()), Claims::default());
        assert_eq!(verifier.verify(token(kid).as_bytes(), 0).map(drop), expected, "{set} {kid}");
    }
}

#[test]
fn claims_are_held_against_what_is_expected() {
    let strict = Claims {
        audience: Some("mqtt".to_owned()),
        issuer: Some("me".to_owned()),
        leeway_seconds: 5,
        client_id: Some("cid".to_owned()),
        ..Claims::default()
    };
    let claim = |name: &str| Some(Rejection::Claim(name.to_owned()));
    let good = r#""sub":"a","iss":"me","aud":"mqtt""#;
    let rows = [
        (format!(r#"{{{good},"exp":100}}"#), None),
        (format!(r#"{{{good},"exp":100.9}}"#), None),
        (format!(r#"{{{good},"exp":100,"cid":"c"}}"#), None),
        (format!(r#"{{{good},"exp":95}}"#), Some(Rejection::Expired)),
        (format!(r#"{{{good},"exp":96}}"#), None),
        (format!(r#"{{{good},"exp":-1}}"#), claim("exp")),
        (format!(r#"{{{good},"exp":"100"}}"#), claim("exp")),
        (format!(r#"{{{good},"exp":1e300}}"#), claim("exp")),
        (format!(r#"{{{good},"exp":null}}"#), claim("exp")),
        (format!("{{{good}}}"), claim("exp")),
        (format!(r#"{{{good},"exp":200,"nbf":105}}"#), None),
        (format!(r#"{{{good},"exp":200,"nbf":106}}"#), Some(Rejection::NotYet)),
        (format!(r#"{{{good},"exp":200,"nbf":"x"}}"#), claim("nbf")),
        (r#"{"sub":"a","iss":"me","aud":["x","mqtt"],"exp":200}"#.to_owned(), None),
        (r#"{"sub":"a","iss":"me","aud":["x"],"exp":200}"#.to_owned(), claim("aud")),
        (r#"{"sub":"a","iss":"me","exp":200}"#.to_owned(), claim("aud")),
        (r#"{"sub":"a","iss":"you","aud":"mqtt","exp":200}"#.to_owned(), claim("iss")),
        (r#"{"sub":"a","aud":"mqtt","exp":200}"#.to_owned(), claim("iss")),
        (r#"{"sub":"","iss":"me","aud":"mqtt","exp":200}"#.to_owned(), claim("sub")),
        (r#"{"sub":7,"iss":"me","aud":"mqtt","exp":200}"#.to_owned(), claim("sub")),
        (r#"{"iss":"me","aud":"mqtt","exp":200}"#.to_owned(), claim("sub")),
        (format!(r#"{{{good},"exp":200,"cid":7}}"#), claim("cid")),
        ("[]".to_owned(), Some(Rejection::Malformed)),
        ("{".to_owned(), Some(Rejection::Malformed)),
    ];
    for (claims, expected) in rows {
        let token = signed(r#"{"alg":"HS256"}"#, &claims);
        assert_eq!(verify(strict.clone(), &token, 100).err(), expected, "{claims}");
    }
    let lasting = Claims { may_last: true, ..Claims::default() };
    let bearer = verify(lasting, &signed(r#"{"alg":"HS256"}"#, r#"{"sub":"a"}"#), u64::MAX).unwrap();
    assert_eq!(bearer.expires_at, None);
}

#[test]
fn what_is_no_token_or_made_otherwise_is_refused() {
    let claims = r#"{"sub":"a","exp":100}"#;
    let good = signed(r#"{"alg":"HS256"}"#, claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let unsigned =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims));
    let rows = [
        (good.clone(), None),
        (String::new(), Some(Rejection::Malformed)),
        ("secret".to_owned(), Some(Rejection::Malformed)),
        ("a.b".to_owned(), Some(Rejection::Malformed)),
        ("..".to_owned(), Some(Rejection::Malformed)),
        (format!("{message}."), Some(Rejection::Signature)),
        (format!("{message}.{signature}="), Some(Rejection::Signature)),
        (format!("{good}.x"), Some(Rejection::Signature)),
        (unsigned, Some(Rejection::Unsupported)),
        (signed(r#"{"alg":"HS257"}"#, claims), Some(Rejection::Unsupported)),
        (signed(r#"{"alg":"HS512"}"#, claims), Some(Rejection::Signature)),
        (signed(r#"{"alg":"RS256"}"#, claims), Some(Rejection::UnknownKey)),
        (signed(r#"{"alg":"HS256","crit":["exp"]}"#, claims), Some(Rejection::Unsupported)),
        (signed(r#"{"alg":"HS256","b64":false}"#, claims), Some(Rejection::Unsupported)),
        (signed("{}", claims), Some(Rejection::Unsupported)),
        (signed("[]", claims), Some(Rejection::Malformed)),
        ("x".repeat(TOKEN_BYTES_MAX + 1), Some(Rejection::Malformed)),
    ];
    for (token, expected) in rows {
        assert_eq!(verify(Claims::default(), &token, 0).err(), expected, "{token}");
    }
}

#[test]
fn a_password_is_told_from_a_token() {
    for token in
        [signed(r#"{"alg":"HS256"}"#, "{}"), signed("{ \"alg\":\"HS256\"}", "{}"), signed("{\n}", "{}")]
    {
        assert!(looks_like_token(token.as_bytes()), "{token}");
    }
    let tokens = MADE_BY_PYJWT.iter().map(|row| row.2).chain(OF_THE_RFCS.iter().map(|row| row.1));
    assert!(tokens.into_iter().all(|token| looks_like_token(token.as_bytes())));
    for password in ["", "e", "secret", "a.b.c", "eyes.only", "ey.es.on.ly", "ey.es.on ly", "ey.\u{fc}.x"] {
        assert!(!looks_like_token(password.as_bytes()), "{password}");
    }
}

#[test]
fn permissions_come_with_the_token() {
    let claims = Claims { permissions: Some("acl".to_owned()), ..Claims::default() };
    let token = |acl: &str| signed(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"a","exp":100,"acl":{acl}}}"#));
    let acl = r#"{"publish":["in/%c/#"],"sub":["out/#","$s/+"],"all":["u/%u"],"deny":["out/secret"]}"#;
    let bearer = verify(claims.clone(), &token(acl), 0).unwrap();
    let granted = bearer.permissions.unwrap();
    let who = Who { client_id: "c", user_name: Some("a") };
    for (topic, read, write) in [
        ("in/c/x", false, true),
        ("in/d/x", false, false),
        ("out/x", true, false),
        ("out/secret", false, false),
        ("$s/x", true, false),
        ("u/a", true, true),
        ("other", false, false),
    ] {
        let may = [Action::Read, Action::Write].map(|action| granted.allows(who, action, topic));
        assert_eq!(may, [read, write], "{topic}");
    }
    let many = format!(r#"{{"all":[{}]}}"#, vec![r#""a""#; RULES_MAX + 1].join(","));
    for acl in
        ["[]", "7", r#"{"write":["a"]}"#, r#"{"pub":"a"}"#, r#"{"pub":["a#"]}"#, r#"{"pub":[7]}"#, &many]
    {
        assert_eq!(
            verify(claims.clone(), &token(acl), 0).unwrap_err(),
            Rejection::Claim("acl".to_owned()),
            "{acl}"
        );
    }
    assert!(
        verify(claims, &signed(r#"{"alg":"HS256"}"#, r#"{"sub":"a","exp":100}"#), 0)
            .unwrap()
            .permissions
            .is_none()
    );
}

#[test]
fn roles_come_with_the_token() {
    let claims = Claims { roles: Some("groups".to_owned()), ..Claims::default() };
    let token =
        |groups: &str| signed(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"a","exp":100,"groups":{groups}}}"#));
    for (groups, expected) in
        [(r#""one""#, &["one"][..]), (r#"["one","two words"]"#, &["one", "two words"]), ("[]", &[])]
    {
        let roles = verify(claims.clone(), &token(groups), 0).unwrap().roles;
        assert!(roles.iter().map(|role| &**role).eq(expected.iter().copied()), "{groups}: {roles:?}");
    }
    let many = format!("[{}]", vec![r#""a""#; ROLES_MAX + 1].join(","));
    for groups in ["7", "{}", "null", "[7]", &many] {
        let rejection = verify(claims.clone(), &token(groups), 0).unwrap_err();
        assert_eq!(rejection, Rejection::Claim("groups".to_owned()), "{groups}");
    }
    let without = signed(r#"{"alg":"HS256"}"#, r#"{"sub":"a","exp":100}"#);
    assert!(verify(claims, &without, 0).unwrap().roles.is_empty());
    assert!(
        verify(Claims::default(), &token(r#"["one"]"#), 0).unwrap().roles.is_empty(),
        "nobody asked for it"
    );
}

#[test]
fn bad_keys_are_refused_without_a_word_of_them() {
    let short = br#"{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}"#;
    let secret = br#"{"keys":[{"kty":"oct","k":"YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcywgbm93"}]}"#;
    assert!(Verifier::new(&[KeySource::Jwks(secret)], Claims::default()).is_ok());
    let mixed = br#"{"keys":[{"kty":"oct","k":"c2hvcnQ"},
        {"kty":"OKP","crv":"Ed25519","x":"2vPcnN9TuUMo2ZbEzhIjjVUZddfBEp2aALK54NSuqCM"}]}"#;
    assert!(
        Verifier::new(&[KeySource::PublicJwks(mixed)], Claims::default()).is_ok_and(|v| v.key_count() == 1)
    );
    let rows: [(KeySource<'_>, &str); 7] = [
        (KeySource::PublicJwks(secret), "no key"),
        (KeySource::Secret(b"short"), "expected 32 or more"),
        (KeySource::Pem(b"nonsense"), "no PEM of a public key"),
        (KeySource::Jwks(b"nonsense"), "line 1 is no set of keys"),
        (KeySource::Jwks(br#"{"keys":[]}"#), "no key"),
        (KeySource::Jwks(br#"{"keys":[{"kty":"EC","crv":"P-256","x":"!","y":"!"}]}"#), "no key"),
        (KeySource::Jwks(short), "less than 32 bytes"),
    ];
    for (source, expected) in rows {
        let problem = Verifier::new(&[source], Claims::default()).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
        assert!(!problem.contains("short") && !problem.contains("c2hvcnQ"));
    }
}
