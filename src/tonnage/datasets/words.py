"""The words that a simulated shop writes its titles with."""

CATEGORIES: dict[str, tuple[str, ...]] = {
    "kitchen": ("teapot", "mug", "cake tin", "mixing bowl", "egg cup", "tea towel", "jam jar", "whisk"),
    "garden": (
        "watering can",
        "plant pot",
        "bird feeder",
        "trowel",
        "seed box",
        "lantern",
        "wind chime",
        "trellis",
    ),
    "toys": (
        "jigsaw",
        "spinning top",
        "teddy bear",
        "skittles",
        "toy train",
        "kite",
        "puppet",
        "playing cards",
    ),
    "bathroom": (
        "soap dish",
        "bath mat",
        "towel",
        "sponge",
        "toothbrush holder",
        "bath salts",
        "mirror",
        "laundry bag",
    ),
    "stationery": (
        "notebook",
        "pencil case",
        "gift wrap",
        "postcard",
        "ink stamp",
        "calendar",
        "envelope set",
        "ruler",
    ),
    "lighting": (
        "lamp",
        "candle",
        "night light",
        "fairy lights",
        "candlestick",
        "lamp shade",
        "tea light",
        "sconce",
    ),
    "bedroom": (
        "cushion",
        "quilt",
        "pillow case",
        "bedspread",
        "alarm clock",
        "jewellery box",
        "hot water bottle",
        "throw",
    ),
    "party": (
        "bunting",
        "balloon",
        "paper plate",
        "party hat",
        "confetti",
        "streamer",
        "cake stand",
        "napkin",
    ),
    "travel": (
        "suitcase",
        "luggage tag",
        "travel mug",
        "passport cover",
        "wash bag",
        "umbrella",
        "map",
        "picnic rug",
    ),
    "jewellery": ("necklace", "bracelet", "earrings", "brooch", "ring", "hair clip", "anklet", "locket"),
    "christmas": (
        "bauble",
        "wreath",
        "stocking",
        "advent calendar",
        "tree topper",
        "tinsel",
        "nutcracker",
        "sleigh",
    ),
    "baby": ("rattle", "bib", "baby blanket", "bootees", "mobile", "teether", "height chart", "nappy bag"),
    "sports": (
        "skipping rope",
        "water bottle",
        "yoga mat",
        "football",
        "tennis balls",
        "dumbbell",
        "headband",
        "whistle",
    ),
    "pets": (
        "dog lead",
        "cat bowl",
        "dog basket",
        "scratching post",
        "pet brush",
        "bird bath",
        "fish net",
        "collar",
    ),
    "music": (
        "ukulele",
        "music box",
        "tambourine",
        "harmonica",
        "drumsticks",
        "songbook",
        "metronome",
        "kazoo",
    ),
    "office": (
        "desk tidy",
        "stapler",
        "letter rack",
        "paper weight",
        "mouse mat",
        "desk fan",
        "clipboard",
        "globe",
    ),
}
"""Category -> the things it sells."""

STYLES = ("vintage", "modern", "rustic", "floral", "nautical", "retro")
"""What things of one category differ by, and tastes with them."""

MATERIALS = ("paper", "cotton", "wood", "glass", "enamel", "silver")
"""From cheap to dear."""

COLOURS = ("red", "blue", "green", "white", "pink", "black", "yellow", "grey")
"""These say nothing about taste: noise that every text model must see through."""

COUNTRIES = ("United Kingdom", "Germany", "France", "Spain", "Netherlands")
AGE_BANDS = ("18-24", "25-34", "35-49", "50-64", "65+")
