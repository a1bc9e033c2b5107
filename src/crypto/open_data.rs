//! The platforms' open data: AES-128-CBC under the session_key, with a SHA-1 signature over the raw
//! text (framework/open-ability/signature in WeChat's documentation). All ways in which a ciphertext
//! can be wrong look the same, so this is no padding oracle.

use aes::Aes128;
use cbc::cipher::block_padding::{NoPadding, Pkcs7};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use sha1::{Digest, Sha1};
use subtle::{ConstantTimeEq, ConstantTimeGreater};
use zeroize::Zeroize;

use super::encoding::{base64, from_base64, from_loose_base64};
use super::hash;

/// A session_key under which nothing can be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session_key is not the base64 of 16 bytes")]
pub struct BadSessionKey;

/// What came out under a key. Only the padding says whether that is what was sealed, and one in 256
/// made-up texts has a right one. So a reader does the same with every text, and asks
/// [`Self::is_whole`] last. An attacker who changes ciphertexts and watches the clock learns nothing.
pub struct Opened {
    text: Vec<u8>,
    padding: usize,
    whole: bool,
}

impl Opened {
    /// The result for a text that has not even the form of a ciphertext.
    pub const fn nothing() -> Self {
        Self {
            text: Vec::new(),
            padding: 0,
            whole: false,
        }
    }

    /// The text without its padding; where the padding is wrong, all of it.
    pub fn text(&self) -> &[u8] {
        self.text
            .get(..self.text.len().saturating_sub(self.padding))
            .unwrap_or_default()
    }

    pub const fn is_whole(&self) -> bool {
        self.whole
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// Opens `encrypted_data` (base64) with the session_key and IV as the platform writes them (base64
/// of 16 bytes). A space stands for a `+` that a form decoder has eaten, which is a frequent client
/// fault; the `=` at the end may be missing. The time depends on the lengths alone: a session_key of
/// another form is replaced by zeros, and the work goes on.
pub fn open(session_key: &str, iv: &str, encrypted_data: &str) -> Opened {
    let bytes = |text: &str| from_loose_base64(&text.replace(' ', "+"));
    let iv = bytes(iv).and_then(|iv| <[u8; 16]>::try_from(iv).ok());
    let (Some(iv), Some(ciphertext)) = (iv, bytes(encrypted_data)) else {
        return Opened::nothing();
    };
    let key = sixteen(session_key);
    let decryptor = cbc::Decryptor::<Aes128>::new(&key.unwrap_or_default().into(), &iv.into());
    let Ok(text) = decryptor.decrypt_padded_vec::<NoPadding>(&ciphertext) else {
        return Opened::nothing();
    };
    let padding = padding(&text);
    Opened {
        text,
        padding: padding.unwrap_or(0),
        whole: padding.is_some() && key.is_ok(),
    }
}

/// How many bytes the padding has (PKCS#7). It always looks at all bytes of the last block.
fn padding(text: &[u8]) -> Option<usize> {
    let last = text.last_chunk::<16>()?;
    let count = last[15];
    let mut wrong = count.ct_eq(&0) | count.ct_gt(&16);
    for (behind, byte) in (0_u8..).zip(last.iter().rev()) {
        wrong |= count.ct_gt(&behind) & byte.ct_ne(&count);
    }
    (!bool::from(wrong)).then_some(usize::from(count))
}

/// Seals `plaintext` under the session_key, as the platform's client does; `(encryptedData, iv)`.
pub fn encrypt(
    session_key: &str,
    iv: [u8; 16],
    plaintext: &[u8],
) -> Result<(String, String), BadSessionKey> {
    let key = sixteen(session_key)?;
    let sealed = cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into())
        .encrypt_padded_vec::<Pkcs7>(plaintext);
    Ok((base64(&sealed), base64(&iv)))
}

/// `sha1(rawData ‖ session_key)` in hexadecimal.
pub fn signature(raw_data: &str, session_key: &str) -> String {
    let digest: [u8; 20] = Sha1::new()
        .chain_update(raw_data)
        .chain_update(session_key)
        .finalize()
        .into();
    hash::to_hex(&digest)
}

/// Whether this is the base64 of 16 bytes.
pub fn is_session_key(text: &str) -> bool {
    sixteen(text).is_ok()
}

fn sixteen(text: &str) -> Result<[u8; 16], BadSessionKey> {
    from_base64(text)
        .and_then(|v| v.try_into().ok())
        .ok_or(BadSessionKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector in WeChat's own documentation.
    #[test]
    fn signature_is_the_documented_one() {
        let raw = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
        assert_eq!(
            signature(raw, "HyVFkGl5F5OQWJZZaNzBBg=="),
            "75e81ceda165f4ffa64f4068af58c64b8f54b88c"
        );
    }

    const KEY: &str = "HyVFkGl5F5OQWJZZaNzBBg==";

    fn opened(key: &str, iv: &str, data: &str) -> Option<Vec<u8>> {
        let opened = open(key, iv, data);
        opened.is_whole().then(|| opened.text().to_vec())
    }

    /// The sample of WeChat's documentation.
    #[test]
    fn the_documented_data_opens() {
        let text = opened(SAMPLE_KEY, SAMPLE_IV, SAMPLE).unwrap();
        assert_eq!(
            hash::to_hex(&hash::sha256(&text)),
            "3237d8a5dbd413523c194882c7156544d8a06e2afcc97383cc300c17bd09391b"
        );
        for without in [SAMPLE_IV.trim_end_matches('='), SAMPLE_IV] {
            let data = SAMPLE.trim_end_matches('=').replace('+', " ");
            assert_eq!(opened(SAMPLE_KEY, without, &data), Some(text.clone()));
        }
    }

    const SAMPLE_KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";
    const SAMPLE_IV: &str = "r7BXXKkLb8qrSNn05n0qiA==";
    const SAMPLE: &str = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew==";

    #[test]
    fn what_was_sealed_opens_whatever_its_length() {
        for length in 0..=48 {
            let text: Vec<u8> = (0..length).collect();
            let (data, iv) = encrypt(KEY, [9; 16], &text).unwrap();
            assert_eq!(opened(KEY, &iv, &data), Some(text), "{length}");
        }
    }

    #[test]
    fn what_is_no_ciphertext_gives_nothing() {
        let (data, iv) = encrypt(KEY, [9; 16], br#"{"a":1}"#).unwrap();
        for (key, iv, data) in [
            ("short", &*iv, &*data),
            ("", &iv, &data),
            (KEY, "AAAA", &data),
            (KEY, "", &data),
            (KEY, &iv, "AAAA"),
            (KEY, &iv, "?"),
            (KEY, &iv, ""),
            (KEY, &iv, &data[..data.len() - 4]),
        ] {
            assert_eq!(opened(key, iv, data), None, "{key} {iv} {data}");
        }
        assert!(encrypt("short", [9; 16], b"").is_err());
    }

    #[test]
    fn paddings_are_right_in_one_form_each() {
        for count in 0..=255_u8 {
            let mut block = [7; 16];
            let from = 16_usize.saturating_sub(usize::from(count));
            block[from..].fill(count);
            block[15] = count;
            let right = (1..=16).contains(&count);
            assert_eq!(padding(&block), right.then_some(usize::from(count)));
            for place in from..15 {
                let mut other = block;
                other[place] ^= 1;
                assert_eq!(padding(&other), None, "{count} {place}");
            }
        }
        assert_eq!(padding(&[1; 15]), None);
    }
}
